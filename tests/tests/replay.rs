//! A month's invoices, or a part of it, through the library and through a running server.

use std::process::{Output, Stdio};
use std::time::Duration;
use tests::engine::{Engine, Site};
use tests::server::{Server, assert_verified, replay_binary, root};
use tests::world::World;
use tokio::process::Command;
use trade_core::store::{InventoryQuery, StationQuery, TradeFilter, TradeQuery};

/// The invoices: the sample, or a file of one's own.
fn sample() -> String {
    if let Ok(file) = std::env::var("TRADE_TEST_REPLAY_FILE") {
        return file;
    }
    let folder = root().join("examples/data");
    let files = std::fs::read_dir(folder).expect("the sample is there").filter_map(Result::ok);
    let mut files = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "csv"));
    files.next().expect("a csv file").to_str().expect("a plain name").to_owned()
}

fn replay(arguments: &[&str]) -> Command {
    let mut command = Command::new(replay_binary());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn finish(mut command: Command) -> Output {
    let run = tokio::time::timeout(Duration::from_secs(300), command.output()).await;
    let output = run.expect("it ends in time").expect("it can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// What two networks that did the same have in common: every level, and every trade without times, versions, and
/// sequences.
async fn state(site: &Site) -> (Vec<String>, Vec<String>) {
    let opened = site.open().await;
    let store = opened.store();
    let mut levels = Vec::new();
    let mut before = None;
    loop {
        let page = store.inventory_list(&StationQuery::all(before, 500, 0)).await.expect("stations");
        for station in page.rows {
            let query = InventoryQuery { items: Vec::new(), after: None, limit: 5_000 };
            let page =
                store.inventory(&station.station_id, &query).await.expect("a station").expect("it exists");
            assert_eq!(page.next, None, "no station of the sample holds so many items");
            let items = page.inventory.items.iter();
            levels.extend(
                items.map(|item| format!("{} {} {:?}", station.station_id, item.item_id, item.level)),
            );
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    levels.sort();
    let mut trades = Vec::new();
    let mut query = TradeQuery { filter: TradeFilter::default(), before: None, limit: 500 };
    loop {
        let page = store.trades(&query).await.expect("trades");
        trades.extend(page.rows.iter().map(|trade| {
            let items = serde_json::to_string(&trade.items).expect("lines are JSON");
            format!("{} {} {} {} {items}", trade.transaction_id, trade.seller, trade.buyer, trade.status)
        }));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    trades.sort();
    opened.close().await;
    (levels, trades)
}

async fn a_replay_that_is_killed_and_started_again_ends_as_an_undisturbed_one(site: Site) {
    let (calm, disturbed) = (site.engine().site().await, site);
    finish(replay(&["--store", calm.url(), &sample()])).await;
    for delay_ms in [30, 90, 150, 250, 400] {
        let mut child = replay(&["--store", disturbed.url(), &sample()]).spawn().expect("it starts");
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        child.kill().await.expect("it can be killed");
    }
    finish(replay(&["--store", disturbed.url(), &sample()])).await;
    let (levels, trades) = state(&calm).await;
    assert!(levels.len() > 100 && trades.len() > 50, "{} levels, {} trades", levels.len(), trades.len());
    assert_eq!(state(&disturbed).await, (levels, trades));
    assert_verified(disturbed.url()).await;
}

async fn a_replay_through_a_server_ends_as_one_through_the_library(site: Site) {
    let (library, served) = (Engine::Sqlite.site().await, site);
    finish(replay(&["--store", library.url(), &sample()])).await;
    let server = Server::start(served.url()).await;
    finish(replay(&["--url", server.url(), &sample()])).await;
    // Once more: everything is known already.
    finish(replay(&["--url", server.url(), &sample()])).await;
    assert!(server.stop("TERM").await.success());
    assert_eq!(state(&served).await, state(&library).await);
    assert_verified(served.url()).await;
}

/// Replays a text into an empty store, and gives back what it said, with the lines of its report.
async fn replay_text(text: &str, more: &[&str]) -> (Output, String) {
    let world = World::new();
    let (file, report, store) = (world.path("invoices.csv"), world.path("report.txt"), world.sqlite());
    std::fs::write(&file, text).expect("the file is written");
    let arguments = [&["--store", &store, "--report", &report, &file], more].concat();
    let run = tokio::time::timeout(Duration::from_secs(60), replay(&arguments).output()).await;
    let output = run.expect("it ends in time").expect("it can be run");
    (output, std::fs::read_to_string(&report).expect("there is a report"))
}

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_is_left_out_is_told_by_its_number() {
    let good = |number| format!("{number},A{number},ARTICLE,6,2010-12-01 08:26:00,2.50,100,UK\n");
    let open = "2,A2,\"ROUND TABLE 12,6,2010-12-01 08:26:00,2.50,100,UK\n";
    let text = [HEADER.to_owned(), good(1), open.into()].into_iter().chain((3..=41).map(good));
    let (output, report) = replay_text(&text.collect::<String>(), &[]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let said: Vec<_> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in ["lines read 41", "taken 40", "a quote that does not end in its line 1 line 3"] {
        assert!(said.iter().any(|found| found == line), "{line:?} is not in {said:#?}");
    }
    assert_eq!(report, "line 3: a quote that does not end in its line\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_most_of_which_would_be_lost_is_not_replayed_and_no_success() {
    let line = |date| format!("1,A,ARTICLE,6,{date},2.50,100,UK\n");
    let (good, bad) = (line("2010-12-01"), line("40513.35"));
    let (output, report) = replay_text(&[HEADER, &good, &bad, &bad].concat(), &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("only 1 of its 3 lines can be taken; an unreadable InvoiceDate: 2 (lines 3, 4)"),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "nothing was sent");
    assert_eq!(report, "line 3: an unreadable InvoiceDate\nline 4: an unreadable InvoiceDate\n");
    // Each for a reason of its own, they are what they are.
    let postage = good.replace(",A,ARTICLE,", ",POST,POSTAGE,");
    let (output, _) = replay_text(&[HEADER, &good, &bad, &postage].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (output, _) = replay_text(HEADER, &[]).await;
    assert_eq!(output.status.code(), Some(1), "a file without lines is no success either");
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_can_be_read_in_two_ways_are_refused_until_it_is_said() {
    let text = format!("{HEADER}1,A,ARTICLE,6,01/12/2010 08:26,2.50,100,UK\n");
    let (output, _) = replay_text(&text, &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("01/12/2010 08:26 in line 2") && said.lines().count() == 1, "{said}");
    let (output, _) = replay_text(&text, &["--dates", "day-first"]).await;
    assert_eq!(output.status.code(), Some(0));
}

tests::on_every_engine!(
    a_replay_that_is_killed_and_started_again_ends_as_an_undisturbed_one,
    a_replay_through_a_server_ends_as_one_through_the_library,
);
