//! One gateway takes the place of another on the same state directory and repository.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use reqwest::{Client, StatusCode};
use tokio::task::JoinHandle;

use super::gateway::{Running, Site, digest, until, variant};
use crate::support::{repository::iris, setosa, tokens::TokenBuilder};

/// A balancer that sends requests to all gateways that say they are ready, one after the other.
#[derive(Clone, Default)]
struct Balancer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    gateways: Mutex<Vec<String>>,
    /// Digests that no answer may show from now on.
    forbidden: Mutex<Vec<String>>,
    answered: AtomicUsize,
    is_over: AtomicBool,
}

impl Balancer {
    fn add(&self, gateway: &Running) {
        self.0.gateways.lock().unwrap().push(gateway.url(""));
    }

    fn forbid(&self, digest: &str) {
        self.0.forbidden.lock().unwrap().push(digest.to_owned());
    }

    fn start(&self) -> Vec<JoinHandle<()>> {
        (0..4).map(|number| tokio::spawn(self.clone().ask_on(number))).collect()
    }

    async fn ask_on(self, number: usize) {
        let (client, token) = (Client::new(), TokenBuilder::new().build());
        let mut turn = number;
        while !self.0.is_over.load(Ordering::SeqCst) {
            // What is forbidden while the answer is on its way may still be in it.
            let forbidden = self.0.forbidden.lock().unwrap().clone();
            let gateways = self.0.gateways.lock().unwrap().clone();
            turn += 1;
            let gateway = &gateways[turn % gateways.len()];
            // A balancer's probe, and what it does with a gateway that is gone: it asks the next one.
            let probe = client.get(format!("{gateway}/health/ready")).send().await;
            if !probe.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                continue;
            }
            let request = client.post(format!("{gateway}/models/iris/predict")).bearer_auth(&token);
            match request.json(&setosa()).send().await {
                Ok(answer) => {
                    assert_eq!(answer.status(), StatusCode::OK);
                    let shown = answer.headers()["x-model-digest"].to_str().unwrap().to_owned();
                    assert!(answer.text().await.unwrap().contains("setosa"));
                    assert!(!forbidden.contains(&shown), "{shown} was taken back");
                    self.0.answered.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) if error.is_connect() => {}
                Err(error) => panic!("an answer was lost: {error:?}"),
            }
        }
    }

    async fn until_answers(&self, more: usize) {
        let before = self.0.answered.load(Ordering::SeqCst);
        until("answers", async || (self.0.answered.load(Ordering::SeqCst) >= before + more).then_some(()))
            .await;
    }

    async fn stop(self, clients: Vec<JoinHandle<()>>) {
        self.0.is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_keeps_rollbacks_and_loses_no_request() {
    let site = Site::with_iris();
    let (first, second, third) = (digest(&iris()), digest(&variant(2)), digest(&variant(3)));
    let a = site.start().await;
    let balancer = Balancer::default();
    balancer.add(&a);
    let clients = balancer.start();
    site.put("iris/2/model.onnx", &variant(2));
    a.until_serves(&second).await;
    assert_eq!(a.roll_back().await.status, StatusCode::OK);
    balancer.forbid(&second);

    let b = site.start().await;
    assert_eq!(b.digest().await, first, "it restores what serves");
    balancer.add(&b);
    b.until_refused(2, "rolled_back").await;
    assert!(b.events().await.contains(&"rolled_back".to_owned()), "it knows what was done before");
    balancer.until_answers(100).await;
    a.end();
    balancer.until_answers(100).await;
    assert_eq!(b.digest().await, first);

    site.put("iris/3/model.onnx", &variant(3));
    b.until_serves(&third).await;
    assert_eq!(b.roll_back().await.status, StatusCode::OK);
    balancer.forbid(&third);
    let c = site.start().await;
    balancer.add(&c);
    c.until_refused(3, "rolled_back").await;
    c.until_refused(2, "rolled_back").await;
    b.end();
    balancer.until_answers(100).await;
    assert_eq!(c.digest().await, first);
    balancer.stop(clients).await;
    c.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_share_a_state_directory_follow_each_other() {
    let site = Site::with_iris();
    let (first, second) = (digest(&iris()), digest(&variant(2)));
    let (a, b) = (site.start().await, site.start().await);
    site.put("iris/2/model.onnx", &variant(2));
    a.until_serves(&second).await;
    b.until_serves(&second).await;

    // Asked of the one that came second.
    assert_eq!(b.roll_back().await.status, StatusCode::OK);
    a.until_serves(&first).await;
    a.until_refused(2, "rolled_back").await;
    assert_eq!(a.events().await.iter().filter(|event| *event == "rolled_back").count(), 1, "done once");

    // And allowed again by the first.
    assert_eq!(a.post("/v2/repository/models/iris/load", &serde_json::json!({})).await.status, 200);
    a.until_serves(&second).await;
    b.until_serves(&second).await;

    // Both keep copies of what serves and served, one of each.
    let unloaded = b.post("/v2/repository/models/iris/unload", &serde_json::json!({})).await;
    assert_eq!(unloaded.status, 200);
    until("it is unloaded in both", async || {
        let answer = a.post("/models/iris/predict", &setosa()).await;
        (answer.status != 200).then_some(())
    })
    .await;
    assert_eq!(a.roll_back().await.status, StatusCode::OK);
    b.end();
    let c = site.start().await;
    assert_eq!(c.digest().await, a.digest().await);
    a.end();
    c.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_of_an_earlier_release_is_read_and_taken_over() {
    let site = Site::with_iris();
    let (first, second) = (digest(&iris()), digest(&variant(2)));
    let a = site.start().await;
    site.put("iris/2/model.onnx", &variant(2));
    a.until_serves(&second).await;
    assert_eq!(a.roll_back().await.status, StatusCode::OK);
    a.end();
    // Earlier releases lock the directory for themselves as long as they live.
    let lock = std::fs::File::open(site.state().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let b = site.start().await;
    assert_eq!(b.digest().await, first);
    b.until_refused(2, "rolled_back").await;
    assert_eq!(b.metric("gateway_state_available").await, 0);
    let third = digest(&variant(3));
    site.put("iris/3/model.onnx", &variant(3));
    b.until_serves(&third).await;
    assert_eq!(b.roll_back().await.status, StatusCode::OK);
    drop(lock);
    b.until_metric("gateway_state_available", 1).await;
    b.process.wait_for_line("models.state_directory is usable again");
    b.end();
    let c = site.start().await;
    assert_eq!(c.digest().await, first);
    c.until_refused(3, "rolled_back").await;
    c.until_refused(2, "rolled_back").await;
    c.end();
}
