//! The process is killed in the middle of commits, checkpoints and pruning, again and again over one file.

use orch_core::id::IdStream;

use crate::workload::{Model, Running, child};

async fn kills(count: u64, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = crate::sqlite_file::path(&folder);
    let mut random = IdStream::seeded(seed);
    let mut model = Model::default();
    let (mut last, mut unacknowledged) = (0, 0);
    for kill in 0..count {
        let mut running = Running::start(&mut child(&path));
        for _ in 0..=random.next_u64() % 12 {
            assert!(running.next(), "the child ended by itself");
        }
        // Anywhere within the next commit or two: they take about as long as this spins at most.
        for _ in 0..random.next_u64() % 300_000 {
            std::hint::spin_loop();
        }
        let acknowledged = running.kill();
        assert!(acknowledged > last, "it went on from {last}");
        last = model
            .check(&path, acknowledged)
            .await
            .unwrap_or_else(|wrong| panic!("kill {kill} of seed {seed}: {wrong}"));
        unacknowledged += u64::from(last > acknowledged);
    }
    // Some groups were durable, but the kill was faster than their acknowledgement: so the kills do fall into commits.
    assert!(unacknowledged > 0, "no kill fell between a commit and its answer");
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_hundred_kills_and_no_group_is_there_in_half() {
    kills(100, 1).await;
}

#[tokio::test]
#[ignore = "takes minutes: five times two hundred kills"]
async fn whatever_was_acknowledged_survives_a_thousand_kills() {
    for seed in 2..7 {
        kills(200, seed).await;
    }
}
