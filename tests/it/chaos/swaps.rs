//! Many swaps.

use std::{sync::Arc, time::Instant};

use super::{
    load::{Load, Plan, Seen, Tally},
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{Server, until},
};
use crate::support::processes::memory;

/// Load on the default model, every answer to which must be that of the file that the header names.
pub fn plan(expected: &Arc<Expected>, connections: usize) -> Plan {
    let expected = Arc::clone(expected);
    let check = move |seen: &Seen| {
        if seen.status != 200 {
            return Err(format!("status {}: {}", seen.status, seen.body));
        }
        expected.check(seen.index, &seen.digest, &seen.version, &seen.body)
    };
    Plan { path: "/predict", bodies: bodies(), connections, check: Arc::new(check) }
}

/// Says how much slower the slowest hundredth was in phase 1 than in phase 0, when nothing happened.
pub fn compare(row: &mut Row, tally: &Tally) {
    let (idle, busy) = (tally.percentile_ms(0, 99), tally.percentile_ms(1, 99));
    row.figure("p50_idle_ms", tally.percentile_ms(0, 50));
    row.figure("p50_ms", tally.percentile_ms(1, 50));
    row.figure("p99_idle_ms", idle);
    row.figure("p99_ms", busy);
    row.limited("p99_ratio", busy / idle, 2.0);
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^53 bytes")]
fn growth_percent(from: u64, to: u64) -> f64 {
    (to as f64 / from as f64 - 1.0) * 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_fail_no_request_and_leak_nothing() {
    let swaps = sized(10, 200);
    let warm = sized(4, 20);
    let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
    let originals = BASES.map(bytes);
    expected.announce(&digest(&originals[0]), BASES[0]);
    expected.announce(&digest(&originals[1]), BASES[1]);
    let server = Server::prepare().with_iris().start().await;
    let load = Load::start(&server, plan(&expected, 8));
    load.until_answers(sized(400, 20_000)).await;
    load.phase(1);

    let (mut version, mut warm_bytes) = (1, 0);
    let mut slowest_ms = 0;
    for swap in 1..=swaps {
        let base = swap % 2;
        // Half of the files are new, as retrained ones are; the others served some swaps before.
        let content = if swap % 4 < 2 { fresh(&originals[base], swap) } else { originals[base].clone() };
        let digest = digest(&content);
        expected.announce(&digest, BASES[base]);
        if swap % 10 == 5 {
            version += 1;
        }
        let start = Instant::now();
        server.put(&format!("iris/{version}/model.onnx"), &content);
        load.until_answered_by(&digest).await;
        slowest_ms = slowest_ms.max(start.elapsed().as_millis());
        load.assert_no_failure(&format!("swap {swap}"));
        if swap == warm {
            warm_bytes = memory(server.id(), "VmRSS:");
        }
    }
    load.until_answers(sized(100, 2_000)).await;
    let after_bytes = memory(server.id(), "VmRSS:");
    // The first one is the start. Answers may be out before the last one is counted.
    until("each swap is counted", async || (server.swaps().await > swaps as u64).then_some(())).await;
    assert_eq!(server.swaps().await, swaps as u64 + 1);
    assert_eq!(server.refusals().await, 0);
    let tally = load.stop().await;

    let mut row = Row::new("swaps", format!("{swaps} swaps, 8 connections, {version} version folders"));
    compare(&mut row, &tally);
    row.figure("slowest_swap_ms", u64::try_from(slowest_ms).unwrap());
    row.figure("rss_mib", after_bytes >> 20);
    row.limited("rss_growth_percent", growth_percent(warm_bytes, after_bytes), 5.0);
    row.finish(&tally);
}
