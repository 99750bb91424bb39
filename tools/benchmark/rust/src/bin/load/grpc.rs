//! Load over gRPC: encoded messages, on HTTP/2 connections with so many streams at a time each.

use std::{
    cell::RefCell,
    error::Error,
    rc::Rc,
    time::{Duration, Instant},
};

use benchmark::tally::{Report, Tally};
use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::Request;
use tokio::{net::TcpStream, task::LocalSet, time::sleep_until};

use crate::{plan::Plan, window::Window};

const STATUS: &str = "grpc-status";
const STATUS_OK: &[u8] = b"0";
/// Time after the end that the last responses are waited for.
const GRACE: Duration = Duration::from_millis(200);

/// Carries the plan out.
pub fn run(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    if plan.rate.is_some() {
        return Err("gRPC has no rate".into());
    }
    if plan.tls.is_some() {
        return Err("gRPC is measured without TLS".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, carry_out(plan))
}

async fn carry_out(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let messages: Rc<[Bytes]> = plan.requests.iter().cloned().map(Bytes::from).collect();
    let mut clients = Vec::new();
    for _ in 0..plan.connections {
        let stream = TcpStream::connect(plan.address).await?;
        stream.set_nodelay(true)?;
        let (client, connection) = h2::client::handshake(stream).await?;
        tokio::task::spawn_local(connection);
        clients.extend(std::iter::repeat_n(client, plan.streams));
    }
    let mut window = Window::after(plan.warmup, plan.measured, plan.process);
    let head = head(plan)?;
    for (index, client) in clients.into_iter().enumerate() {
        let caller = Caller { head: head.clone(), messages: messages.clone(), tally: tally.clone() };
        tokio::task::spawn_local(caller.call_until(window.end, client, index));
    }
    sleep_until(window.begin.into()).await;
    window.turn(Instant::now(), &mut tally.borrow_mut());
    sleep_until(window.end.into()).await;
    let report = window.report(&tally.borrow()).ok_or("the end came before the beginning")?;
    tokio::time::sleep(GRACE).await;
    Ok(report)
}

fn head(plan: &Plan) -> Result<Request<()>, Box<dyn Error>> {
    let mut head = Request::post(format!("http://{}{}", plan.address, plan.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for header in &plan.headers {
        let (name, value) = header.split_once(": ").ok_or("a header is `name: value`")?;
        head = head.header(name, value);
    }
    Ok(head.body(())?)
}

struct Caller {
    head: Request<()>,
    messages: Rc<[Bytes]>,
    tally: Rc<RefCell<Tally>>,
}

impl Caller {
    async fn call_until(self, end: Instant, mut client: SendRequest<Bytes>, first: usize) {
        let mut number = first;
        loop {
            let begin = Instant::now();
            if begin >= end {
                return;
            }
            let message = self.messages[number % self.messages.len()].clone();
            number += 1;
            let outcome = call(&mut client, self.head.clone(), message).await;
            let mut tally = self.tally.borrow_mut();
            match outcome {
                Ok(true) => tally.answered(begin.elapsed()),
                Ok(false) => tally.failed(1),
                Err(_) => return tally.failed(1),
            }
        }
    }
}

/// Returns true if the status of the response is OK.
async fn call(client: &mut SendRequest<Bytes>, head: Request<()>, message: Bytes) -> Result<bool, h2::Error> {
    std::future::poll_fn(|context| client.poll_ready(context)).await?;
    let (answer, mut sending) = client.send_request(head, false)?;
    sending.send_data(message, true)?;
    let answer = answer.await?;
    if let Some(status) = answer.headers().get(STATUS) {
        return Ok(status.as_bytes() == STATUS_OK);
    }
    status_of(answer.into_body()).await
}

async fn status_of(mut body: RecvStream) -> Result<bool, h2::Error> {
    while let Some(bytes) = body.data().await {
        let length = bytes?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(trailers.get(STATUS).is_some_and(|status| status.as_bytes() == STATUS_OK))
}
