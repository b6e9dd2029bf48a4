//! Every route, where all goes well.

mod common;

use common::{Network, trade};
use serde_json::{Value, json};

#[tokio::test]
async fn a_trade_is_initiated_read_listed_and_completed_through_its_cargo() {
    let network = Network::stocked().await;
    let got = network
        .post(
            "/api/trades",
            json!({
                "transactionId": "T-1", "buyer": "vesta", "seller": "ceres", "settlement": "on_delivery",
                "items": ["fuel", {"itemId": "ore", "quantity": 5, "unitPrice": {"amount": "2.50", "currency": "GBP"}}],
                "ETA": "2027-01-01T12:00:00+02:00", "expiresAt": "2100-01-01T00:00:00Z",
            }),
        )
        .await;
    let body = got.expect(201);
    assert_eq!(body["message"], "Trade initiated successfully");
    assert_eq!(got.location("/api/trades"), "/api/trades/T-1");
    assert_eq!(got.header("etag"), "\"1\"");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(body["trade"]["totals"], json!([{"amount": "12.50", "currency": "GBP"}]));
    assert_eq!(body["trade"]["items"][0], json!({"itemId": "fuel", "quantity": 1}));
    assert_eq!(body["cargo"]["ETA"], "2027-01-01T10:00:00.000Z");
    assert_eq!(body["cargo"]["shipmentId"], "shipment-T-1");

    assert_eq!(network.get("/api/trades/T-1").await.expect(200)["trade"], body["trade"]);
    let listed =
        network.get("/api/trades?station=ceres&status=initiated&itemId=ore&limit=1").await.expect(200);
    assert_eq!(listed, json!({"trades": [body["trade"]], "nextCursor": null}));

    let sent =
        network.patch("/api/cargo/shipment-T-1", json!({"status": "in_transit", "location": "belt"})).await;
    assert_eq!(sent.header("etag"), "\"2\"");
    let sent = sent.expect(200);
    assert_eq!((sent["message"].as_str(), sent.get("trade")), (Some("Cargo updated successfully"), None));
    let done = network.put("/api/trades/update/T-1", json!({"status": "completed"})).await.expect(200);
    assert_eq!(done["message"], "Trade updated successfully");
    assert_eq!(
        (&done["trade"]["status"], &done["cargo"]["status"]),
        (&json!("completed"), &json!("delivered"))
    );

    let history = network.get("/api/cargo/shipment-T-1/history").await.expect(200);
    let states: Vec<_> =
        history["events"].as_array().unwrap().iter().map(|event| &event["data"]["cargo"]["status"]).collect();
    assert_eq!(states, ["pending", "in_transit", "delivered"]);
    assert_eq!(history["nextCursor"], Value::Null);
}

#[tokio::test]
async fn a_trade_that_is_known_is_answered_with_what_is_stored() {
    let network = Network::stocked().await;
    let first = network.post("/api/trades", trade("T-1")).await.expect(201);
    let head = network.head().await;
    let again = network.post("/api/trades/", trade("T-1")).await;
    assert_eq!(again.expect(200), first);
    assert_eq!(again.header("idempotency-replayed"), "");
    let mut other = trade("T-1");
    other["items"] = json!(["ore"]);
    network.post("/api/trades", other).await.problem(409, "trade-exists");
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn an_id_that_is_not_given_is_made() {
    let network = Network::stocked().await;
    let body = json!({"transactionId": null, "buyer": "vesta", "seller": "ceres", "items": ["fuel"]});
    let got = network.post("/api/trades", body).await;
    let id = got.expect(201)["trade"]["transactionId"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), &id[14..15]), (36, "7"));
    assert_eq!(got.location("/api/trades"), format!("/api/trades/{id}"));
    let body = json!({"origin": "vesta", "destination": "ceres", "items": ["fuel"]});
    let cargo = network.post("/api/cargo", body).await.expect(201);
    assert_eq!(cargo["cargo"]["shipmentId"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn a_transfer_is_made_once_and_lost() {
    let network = Network::stocked().await;
    let body =
        json!({"shipmentId": "S-1", "origin": "ceres", "destination": "vesta", "items": ["ore", "ore"]});
    let got = network.post("/api/cargo", body.clone()).await;
    let made = got.expect(201);
    assert_eq!(made["message"], "Cargo created successfully");
    assert_eq!(made["cargo"]["items"], json!([{"itemId": "ore", "quantity": 2}]));
    assert_eq!((&*got.location("/api/cargo"), got.header("etag")), ("/api/cargo/S-1", "\"1\""));
    assert_eq!(network.post("/api/cargo", body.clone()).await.expect(200), made);
    let other = json!({"shipmentId": "S-1", "origin": "ceres", "destination": "vesta", "items": ["ore"]});
    network.post("/api/cargo", other).await.problem(409, "cargo-exists");
    assert_eq!(network.get("/api/cargo/S-1/").await.expect(200)["cargo"], made["cargo"]);

    network.put("/api/cargo/update/S-1", json!({"status": "in_transit"})).await.expect(200);
    network.put("/api/cargo/update/S-1", json!({"ETA": "2020-01-01T00:00:00Z"})).await.expect(200);
    let late = network.get("/api/cargo?late=true&origin=ceres").await.expect(200);
    assert_eq!(late["cargo"].as_array().unwrap().len(), 1);
    network.patch("/api/cargo/S-1", json!({"status": "lost"})).await.expect(200);
    let late = network.get("/api/cargo?late=true").await.expect(200);
    assert_eq!(late, json!({"cargo": [], "nextCursor": null}));
    let problem = network.patch("/api/cargo/S-1", json!({"location": "home"})).await;
    let problem = problem.problem(409, "illegal-transition");
    assert_eq!(
        (&problem["from"], &problem["to"], &problem["allowed"]),
        (&json!("lost"), &json!("lost"), &json!([]))
    );
}

#[tokio::test]
async fn a_station_is_made_adjusted_and_audited() {
    let network = Network::new().await;
    let body =
        json!({"stationId": "ceres", "name": "Cérès", "items": ["fuel", {"itemId": "fuel", "quantity": 4}]});
    let got = network.post("/api/inventory", body.clone()).await;
    let made = got.expect(201);
    assert_eq!(made["message"], "Inventory created successfully");
    assert_eq!((&*got.location("/api/inventory"), got.header("etag")), ("/api/inventory/ceres", "\"1\""));
    assert_eq!(made["inventory"]["items"][0]["onHand"], 5);
    network.post("/api/inventory", body).await.problem(409, "station-exists");

    let change = json!({"adjustments": [
        {"itemId": "fuel", "delta": -2, "reason": "damaged"}, {"itemId": "ore", "delta": 7, "reason": "received"},
    ]});
    let got = network.patch("/api/inventory/ceres", change).await;
    assert_eq!(got.header("etag"), "\"2\"");
    let changed = got.expect(200);
    assert_eq!(changed["message"], "Inventory updated successfully");
    assert_eq!(
        (&changed["inventory"]["quantity"], &changed["inventory"]["itemCount"]),
        (&json!(10), &json!(2))
    );
    let change = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "cycle_count"}]});
    network.put("/api/inventory/update/ceres", change).await.expect(200);

    let one = network.get("/api/inventory/ceres").await.expect(200);
    assert_eq!((&one["nextCursor"], &one["inventory"]["quantity"]), (&Value::Null, &json!(11)));
    let narrowed = network.get("/api/inventory/ceres?itemId=ore,none,ore").await.expect(200);
    assert_eq!(narrowed["inventory"]["items"].as_array().unwrap().len(), 1);
    let listed = network.get("/api/inventory").await.expect(200);
    assert_eq!(listed["inventory"].as_array().unwrap().len(), 1);

    let ledger = network.get("/api/inventory/ceres/ledger").await.expect(200);
    let reasons: Vec<_> =
        ledger["entries"].as_array().unwrap().iter().map(|entry| &entry["reason"]).collect();
    assert_eq!(reasons, ["cycle_count", "received", "damaged", "opening"]);
    assert_eq!(
        (&ledger["entries"][3]["from"], &ledger["entries"][3]["to"]),
        (&json!("world"), &json!("station/ceres"))
    );
    let ledger = network.get("/api/inventory/ceres/ledger?itemId=fuel&limit=1").await.expect(200);
    assert_eq!(ledger["entries"][0]["reason"], "damaged");
}

#[tokio::test]
async fn a_batch_answers_for_each_trade_on_its_own() {
    let network = Network::stocked().await;
    let mut unknown = trade("T-2");
    unknown["buyer"] = json!("nowhere");
    let much = json!({"transactionId": "T-3", "buyer": "vesta", "seller": "ceres",
        "items": [{"itemId": "fuel", "quantity": 9_007_199_254_740_991_u64}, "fuel"]});
    let short = json!({"transactionId": "T-4", "buyer": "vesta", "seller": "ceres",
        "items": [{"itemId": "fuel", "quantity": 1000}]});
    let same = json!({"transactionId": "T-5", "buyer": "vesta", "seller": "vesta", "items": ["fuel"]});
    let body = json!({"trades": [trade("T-1"), unknown, trade("T-1"), much, short, same]});
    let got = network.post("/api/trades/batch", body).await;
    let results = got.expect(200)["results"].clone();
    let statuses: Vec<_> =
        results.as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 200, 422, 409, 422]);
    let codes: Vec<_> = [1, 3, 4, 5].map(|index| results[index]["problem"]["code"].as_str().unwrap()).into();
    assert_eq!(codes, ["unknown-station", "quantity-out-of-range", "insufficient-stock", "invalid-request"]);
    assert_eq!(results[1]["problem"]["requestId"], got.header("x-request-id"));
    assert_eq!(results[1]["problem"]["instance"], "/api/trades/batch");
    assert_eq!(
        results[4]["problem"]["shortages"],
        json!([
            {"stationId": "ceres", "itemId": "fuel", "requested": 1000, "available": 99}
        ])
    );
    assert_eq!(results[0]["trade"]["transactionId"], "T-1");
    assert_eq!(results[0]["cargo"]["shipmentId"], "shipment-T-1");
}

#[tokio::test]
async fn an_atomic_batch_is_applied_whole_or_not_at_all() {
    let network = Network::stocked().await;
    let head = network.head().await;
    let mut unknown = trade("T-2");
    unknown["seller"] = json!("nowhere");
    let body = json!({"trades": [trade("T-1"), unknown], "atomic": true});
    let problem = network.post("/api/trades/batch", body).await.problem(422, "unknown-station");
    assert_eq!((&problem["index"], &problem["errors"][0]["field"]), (&json!(1), &json!("trades[1].seller")));
    assert_eq!(network.head().await, head);
    let body = json!({"trades": [trade("T-1"), trade("T-2")], "atomic": true});
    let done = network.post("/api/trades/batch", body).await.expect(200);
    assert!(done["results"].as_array().unwrap().iter().all(|result| result["status"] == 201));
}

#[tokio::test]
async fn words_of_the_paths_are_ids_as_well() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("batch")).await.expect(201);
    network.post("/api/trades", trade("update")).await.expect(201);
    assert_eq!(network.get("/api/trades/batch").await.expect(200)["trade"]["transactionId"], "batch");
    assert_eq!(network.get("/api/trades/update").await.expect(200)["trade"]["transactionId"], "update");
    network.patch("/api/trades/batch", json!({"status": "cancelled"})).await.expect(200);
    network.put("/api/trades/update/update/", json!({"status": "cancelled"})).await.expect(200);
    for id in ["update", "history"] {
        let body = json!({"shipmentId": id, "origin": "ceres", "destination": "vesta", "items": ["ore"]});
        network.post("/api/cargo", body).await.expect(201);
    }
    let history = network.get("/api/cargo/update/history").await.expect(200);
    assert_eq!(history["events"][0]["subject"], "cargo/update");
    let changed = network.put("/api/cargo/update/history", json!({"location": "x"})).await.expect(200);
    assert_eq!(changed["cargo"]["shipmentId"], "history");
    network.post("/api/inventory", json!({"stationId": "update"})).await.expect(201);
    network.get("/api/inventory/update/ledger").await.expect(200);
    network.get("/api/trades/%62atch").await.expect(200);
}

#[tokio::test]
async fn the_events_can_be_polled() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let head = network.head().await;
    let all = network.get("/api/updates").await.expect(200);
    let sequences: Vec<_> =
        all["events"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64()).collect();
    assert_eq!(sequences, (1..=head).map(Some).collect::<Vec<_>>());
    assert_eq!(all["nextAfter"], head);
    assert_eq!(all["events"][0]["actor"], "anonymous");

    let page = network.get("/api/updates/?after=2&limit=1").await.expect(200);
    assert_eq!((&page["nextAfter"], &page["events"][0]["id"]), (&json!(3), &json!("3")));
    let none = network.get("/api/updates?type=tradeFailed").await.expect(200);
    assert_eq!(none, json!({"events": [], "nextAfter": head}));
    let none = network.get("/api/updates?topics=analytics").await.expect(200);
    assert_eq!(none, json!({"events": [], "nextAfter": head}));
    let some = network.get("/api/updates?topics=trade,cargo&station=nobody,vesta").await.expect(200);
    assert_eq!(some["events"].as_array().unwrap().len(), 2);
    let rest = network.get(&format!("/api/updates?after={head}")).await.expect(200);
    assert_eq!(rest, json!({"events": [], "nextAfter": head}));
}

#[tokio::test]
async fn metadata_is_given_back_and_takes_the_place_of_what_was_there() {
    let network = Network::stocked().await;
    let told = json!({"orderNumber": "4711", "note.de": ""});
    let station = json!({"stationId": "pallas", "metadata": told});
    let made = network.post("/api/inventory", station).await.expect(201);
    assert_eq!(made["inventory"]["metadata"], told);
    let body = json!({
        "transactionId": "T-1", "buyer": "vesta", "seller": "ceres", "items": ["fuel"], "metadata": told
    });
    let made = network.post("/api/trades", body).await.expect(201);
    assert_eq!((&made["trade"]["metadata"], made["cargo"].get("metadata")), (&told, None));
    let body = json!({"shipmentId": "X-1", "origin": "ceres", "destination": "vesta", "items": ["fuel"], "metadata": told});
    assert_eq!(network.post("/api/cargo", body).await.expect(201)["cargo"]["metadata"], told);
    let listed = network.get("/api/trades").await.expect(200);
    assert_eq!(listed["trades"][0]["metadata"], told);

    let other = json!({"a": "b"});
    let seen = network.patch("/api/cargo/X-1", json!({"metadata": other})).await.expect(200);
    assert_eq!((&seen["cargo"]["metadata"], &seen["cargo"]["version"]), (&other, &json!(2)));
    let renamed =
        network.patch("/api/inventory/pallas", json!({"name": "Pallas", "metadata": {}})).await.expect(200);
    assert_eq!(renamed["message"], "Inventory updated successfully");
    let inventory = &renamed["inventory"];
    assert_eq!((&inventory["name"], &inventory["metadata"]), (&json!("Pallas"), &json!({})));
    assert_eq!(inventory["version"], 2);
    let again = network.patch("/api/inventory/pallas", json!({"name": "Pallas"})).await.expect(200);
    assert_eq!(again["inventory"]["version"], 2, "it has that name already");
    let events = network.get("/api/updates?station=pallas").await.expect(200);
    let newest = events["events"].as_array().unwrap().last().unwrap();
    assert_eq!(newest["data"]["inventory"]["metadata"], json!({}));
}
