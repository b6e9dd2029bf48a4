//! Walking through lists, page by page.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Network, trade};
use serde_json::{Value, json};

/// The pages of a list, following the cursor to the end.
async fn pages(network: &Network, path: &str, member: &str, id: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = network.get(&format!("{path}{cursor}")).await.expect(200);
        let rows = if member.starts_with('/') { page.pointer(member).unwrap() } else { &page[member] };
        let rows = rows.as_array().unwrap().iter();
        pages.push(rows.map(|row| row[id].to_string().trim_matches('"').to_owned()).collect());
        match &page["nextCursor"] {
            Value::Null => return pages,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test]
async fn every_list_is_walked_through_newest_first_each_row_once() {
    let network = Network::stocked().await;
    let mut expected = Vec::new();
    for index in 0..5 {
        network.post("/api/trades", trade(&format!("T-{index}"))).await.expect(201);
        expected.insert(0, format!("T-{index}"));
    }
    let trades = pages(&network, "/api/trades?limit=2&station=vesta", "trades", "transactionId").await;
    assert_eq!(trades.concat(), expected);
    assert!(trades.len() >= 3 && trades.iter().all(|page| page.len() <= 2));
    let cargo = pages(&network, "/api/cargo?limit=3", "cargo", "transactionId").await;
    assert_eq!(cargo.concat(), expected);
    let stations = pages(&network, "/api/inventory?limit=1", "inventory", "stationId").await;
    assert_eq!(stations.concat(), ["vesta", "ceres"]);
    let ledger = pages(&network, "/api/inventory/ceres/ledger?limit=2", "entries", "transactionId").await;
    assert_eq!(ledger.concat()[..5], expected);
    assert_eq!(ledger.concat().len(), 7);
    let items = pages(&network, "/api/inventory/ceres?limit=1", "/inventory/items", "itemId").await;
    assert_eq!(items.concat(), ["fuel", "ore"]);
}

#[tokio::test]
async fn a_page_is_stable_while_rows_are_added() {
    let network = Network::stocked().await;
    for index in 0..3 {
        network.post("/api/trades", trade(&format!("T-{index}"))).await.expect(201);
    }
    let first = network.get("/api/trades?limit=2").await.expect(200);
    network.post("/api/trades", trade("T-3")).await.expect(201);
    let path = format!("/api/trades?limit=2&cursor={}", first["nextCursor"].as_str().unwrap());
    let second = network.get(&path).await.expect(200);
    assert_eq!(second["trades"][0]["transactionId"], "T-0");
    assert_eq!(second["trades"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_history_is_walked_through_oldest_first_over_gaps_in_the_log() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    for step in 0..7 {
        let change = json!({"location": format!("place {step}")});
        network.patch("/api/cargo/shipment-T-1", change).await.expect(200);
        if step % 3 == 0 {
            for other in 0..12 {
                network.post("/api/trades", trade(&format!("O-{step}-{other}"))).await.expect(201);
            }
        }
    }
    for limit in [1, 3, 500] {
        let path = format!("/api/cargo/shipment-T-1/history?limit={limit}");
        let versions = pages(&network, &path, "events", "sequence").await.concat();
        assert_eq!(versions.len(), 8);
        assert!(versions.windows(2).all(|pair| pair[0].parse::<u64>().unwrap() < pair[1].parse().unwrap()));
    }
    let all = network.get("/api/cargo/shipment-T-1/history").await.expect(200);
    let versions: Vec<_> =
        all["events"].as_array().unwrap().iter().map(|event| &event["data"]["cargo"]["version"]).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(all["events"].as_array().unwrap().iter().all(|event| event["subject"] == "cargo/shipment-T-1"));
}

#[tokio::test]
async fn the_cursor_of_one_list_is_refused_by_another() {
    let network = Network::stocked().await;
    for index in 0..3 {
        network.post("/api/trades", trade(&format!("T-{index}"))).await.expect(201);
        network.patch(&format!("/api/cargo/shipment-T-{index}"), json!({"location": "x"})).await.expect(200);
    }
    let lists = [
        "/api/trades",
        "/api/cargo",
        "/api/inventory",
        "/api/inventory/ceres",
        "/api/inventory/ceres/ledger",
        "/api/cargo/shipment-T-0/history",
    ];
    for from in lists {
        let page = network.get(&format!("{from}?limit=1")).await.expect(200);
        let cursor = page["nextCursor"].as_str().unwrap();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{cursor}");
        for to in lists.into_iter().filter(|to| *to != from) {
            assert_eq!(
                network.get(&format!("{to}?cursor={cursor}")).await.faults(),
                ["cursor"],
                "{from} {to}"
            );
        }
        network.get(&format!("{from}?limit=1&cursor={cursor}")).await.expect(200);
    }
}

#[tokio::test]
async fn a_cursor_holds_for_its_filters_and_its_station() {
    let network = Network::stocked().await;
    for index in 0..3 {
        network.post("/api/trades", trade(&format!("T-{index}"))).await.expect(201);
    }
    for (from, others, same) in [
        (
            "/api/trades?station=ceres",
            &[
                "/api/trades?station=vesta",
                "/api/trades?seller=ceres",
                "/api/trades?station=ceres&status=completed",
            ][..],
            &[
                "/api/trades?station=ceres",
                "/api/trades?limit=7&station=%63eres",
                "/api/trades/?station=ceres",
            ][..],
        ),
        (
            "/api/cargo?origin=ceres&status=pending",
            &["/api/cargo?destination=vesta&status=pending", "/api/cargo?origin=ceres"],
            &["/api/cargo?status=pending&origin=ceres"],
        ),
        (
            "/api/inventory/ceres/ledger?",
            &["/api/inventory/vesta/ledger?", "/api/inventory/ceres/ledger?itemId=ore"],
            &[],
        ),
        (
            "/api/inventory/ceres?itemId=fuel,ore",
            &["/api/inventory/ceres?itemId=ore", "/api/inventory/ceres?"],
            &["/api/inventory/ceres?itemId=ore,fuel", "/api/inventory/%63eres?itemId=fuel,ore,fuel"],
        ),
    ] {
        let page = network.get(&format!("{from}&limit=1")).await.expect(200);
        let cursor = page["nextCursor"].as_str().unwrap();
        for other in others {
            assert_eq!(
                network.get(&format!("{other}&cursor={cursor}")).await.faults(),
                ["cursor"],
                "{from} {other}"
            );
        }
        for same in same {
            network.get(&format!("{same}&cursor={cursor}")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_list_parameter_is_a_set_of_at_most_a_hundred() {
    let network = Network::stocked().await;
    let list = |count: usize| (0..count).map(|n| format!("s-{n}")).collect::<Vec<_>>().join(",");
    let repeated = format!("ceres{}", ",ceres".repeat(5_000));
    for (path, name) in [("/api/updates", "station"), ("/api/inventory/ceres", "itemId")] {
        let many = network.get(&format!("{path}?{name}={}", list(101))).await;
        assert_eq!(many.faults(), [name], "{path}");
        for taken in [list(100), repeated.clone()] {
            network.get(&format!("{path}?{name}={taken}")).await.expect(200);
        }
    }
    let many = network.get(&format!("/api/updates/real-time?station={}", list(101))).await;
    assert_eq!(many.faults(), ["station"]);
    let narrowed = network.get(&format!("/api/updates?station={repeated}")).await.expect(200);
    assert_eq!(narrowed["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_poll_beyond_the_end_of_the_log_is_told_and_goes_on_from_there() {
    let network = Network::stocked().await;
    let newest = network.head().await;
    let resync = json!({"oldest": 1, "newest": newest});
    let far = ["9223372036854775807", "9223372036854775808", "18446744073709551616", &"9".repeat(40)];
    for after in far.map(str::to_owned).into_iter().chain([(newest + 20).to_string()]) {
        let beyond = network.get(&format!("/api/updates?after={after}")).await.expect(200);
        assert_eq!(beyond, json!({"events": [], "nextAfter": newest, "resync": resync}), "{after}");
    }
    for bad in ["", "-1", "+1", "1.0", "x"] {
        assert_eq!(network.get(&format!("/api/updates?after={bad}")).await.faults(), ["after"], "{bad}");
    }
    let at_the_end = network.get(&format!("/api/updates?after={newest}&topics=cargo")).await.expect(200);
    assert_eq!(at_the_end, json!({"events": [], "nextAfter": newest}));
    let empty = Network::new().await;
    let beyond = empty.get("/api/updates?after=1").await.expect(200);
    assert_eq!(beyond, json!({"events": [], "nextAfter": 0, "resync": {"oldest": 0, "newest": 0}}));
}

#[tokio::test]
async fn polling_reads_every_event_once_whatever_the_filter_and_the_limit() {
    let network = Network::stocked().await;
    for index in 0..20 {
        network.post("/api/trades", trade(&format!("T-{index}"))).await.expect(201);
    }
    let head = network.head().await;
    for (filter, count) in
        [("", head), ("&topics=trade", 20), ("&type=cargoCreated", 20), ("&station=ceres", 61)]
    {
        for limit in [1, 7, 500] {
            let (mut after, mut seen) = (0, Vec::new());
            while after < head {
                let page = network
                    .get(&format!("/api/updates?after={after}&limit={limit}{filter}"))
                    .await
                    .expect(200);
                let events = page["events"].as_array().unwrap();
                assert!(events.len() <= limit);
                seen.extend(events.iter().map(|event| event["sequence"].as_u64().unwrap()));
                let next = page["nextAfter"].as_u64().unwrap();
                assert!(next > after);
                after = next;
            }
            assert_eq!(seen.len() as u64, count, "{filter} {limit}");
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}

#[tokio::test]
async fn one_poll_examines_a_bounded_number_of_events() {
    let network = Network::stocked().await;
    let batch: Vec<_> = (0..90).map(|index| trade(&format!("T-{index}"))).collect();
    network.post("/api/trades/batch", json!({ "trades": batch })).await.expect(200);
    for step in 0..60 {
        let back: Vec<_> = (0..90)
            .map(|index| {
                let (buyer, seller) = if step % 2 == 0 { ("ceres", "vesta") } else { ("vesta", "ceres") };
                json!({"transactionId": format!("S-{step}-{index}"), "buyer": buyer, "seller": seller, "items": ["fuel"]})
            })
            .collect();
        network.post("/api/trades/batch", json!({ "trades": back })).await.expect(200);
    }
    assert!(network.head().await > 15_000);
    let page = network.get("/api/updates?type=tradeFailed").await.expect(200);
    assert_eq!(page, json!({"events": [], "nextAfter": 5_000}));
}
