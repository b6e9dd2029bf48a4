use super::*;

fn record(line: &str) -> Record {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [invoice, code, quantity, price, customer] = fields[..] else { panic!("{line}") };
    Record {
        invoice: invoice.into(),
        code: code.into(),
        description: if customer == "-" { String::new() } else { "ARTICLE".into() },
        quantity: quantity.into(),
        date: "2010-12-01 08:26:00".into(),
        price: price.into(),
        customer: customer.trim_matches('-').into(),
        country: "EIRE".into(),
    }
}

fn plan(lines: &[&str]) -> Plan {
    let mut planner = Planner::new(None).unwrap();
    (2..).zip(lines).for_each(|(number, line)| planner.add(&record(line), number, 1));
    planner.finish().unwrap()
}

fn ids(plan: &Plan) -> Vec<String> {
    let id = |action: &Action| match action {
        Action::Trade { trade, .. } => {
            format!("{}: {} to {}", trade.transaction_id, trade.seller, trade.buyer)
        }
        Action::Adjust(adjustment) => format!("{} adjustments", adjustment.adjustments.len()),
    };
    plan.actions.iter().map(id).collect()
}

fn opening(plan: &Plan, station: &str, item: &str) -> u64 {
    let station = plan.stations.iter().find(|opening| opening.station.as_str() == station).unwrap();
    station.items.iter().find(|(id, _)| id.as_str() == item).map_or(0, |(_, quantity)| quantity.units())
}

#[test]
fn the_lines_of_an_invoice_are_one_trade_wherever_they_stand() {
    let plan = plan(&["1 A 2 1.5 17", "2 A 1 1.5 18", "1 E 1 2 17", "1 A 3 1.5 17", "1 A 3 1.6 17"]);
    assert_eq!(ids(&plan), ["1: warehouse to customer-17", "2: warehouse to customer-18"]);
    let Action::Trade { trade, lines, back: false } = &plan.actions[0] else { panic!() };
    assert_eq!(
        (trade.items.len(), &lines[..]),
        (3, &[2, 4, 5, 6][..]),
        "lines alike in item and price are added up"
    );
    assert_eq!(trade.eta.unwrap().to_string(), "2010-12-01T08:26:00.000Z");
    assert!(plan.tally.is_complete() && plan.tally.sold == 5);
}

#[test]
fn an_invoice_with_two_customers_is_two_trades() {
    let first = plan(&["1 A 2 1.5 17", "1 A 1 1.5 18", "1 E 1 2 17"]);
    assert_eq!(ids(&first), ["1: warehouse to customer-17", "1.2: warehouse to customer-18"]);
}

#[test]
fn a_trade_too_long_for_the_network_is_split() {
    let lines = vec!["1 A 1 1.5 17"; LINES_MAX + 1];
    assert_eq!(ids(&plan(&lines)), ["1: warehouse to customer-17", "1.2: warehouse to customer-17"]);
}

#[test]
fn a_cancellation_goes_back_and_corrections_that_stand_together_are_one_step() {
    let plan = plan(&["1 A 5 1 17", "2 A -1 0 -", "3 E 4 0 -", "C4 A -2 1 17", "5 A -1 0 -"]);
    let expected =
        ["1: warehouse to customer-17", "2 adjustments", "C4: customer-17 to warehouse", "1 adjustments"];
    assert_eq!(ids(&plan), expected);
    assert_eq!((plan.tally.sold, plan.tally.returned, plan.tally.adjusted), (1, 1, 3));
}

#[test]
fn opening_stock_is_what_the_file_needs_in_its_order_and_no_more() {
    let plan = plan(&["1 A 5 1 17", "C2 A -5 1 17", "3 A 5 1 17", "C4 E -2 1 17", "5 E 1 1 18"]);
    assert_eq!(opening(&plan, "warehouse", "A"), 5);
    assert_eq!(opening(&plan, "warehouse", "E"), 0);
    assert_eq!(opening(&plan, "customer-17", "A"), 0);
    assert_eq!(opening(&plan, "customer-17", "E"), 2, "it returns what it bought before the file begins");
    let held =
        |station: &str, item: &str| plan.expected[&station.try_into().unwrap()][&item.try_into().unwrap()];
    assert_eq!((held("warehouse", "A"), held("customer-17", "A")), (0, 5));
    assert_eq!((held("warehouse", "E"), held("customer-17", "E"), held("customer-18", "E")), (1, 0, 1));
    assert_eq!(plan.stations[0].station.as_str(), "warehouse");
}

#[test]
fn opening_stock_past_the_lines_of_one_command_is_received_afterwards() {
    let lines: Vec<_> = (0..LINES_MAX + 2).map(|n| format!("{} I{n} 1 1 17", n / 100)).collect();
    let plan = plan(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(plan.stations[0].items.len(), LINES_MAX);
    assert_eq!(plan.top_ups.len(), 1);
    assert_eq!(plan.top_ups[0].adjustments.len(), 2);
}

#[test]
fn the_digest_tells_files_apart_and_not_the_way_they_are_packed() {
    let digest = |lines: &[&str]| plan(lines).digest;
    assert_eq!(digest(&["1 A 5 1 17"]), digest(&["1 A 5 1 17"]));
    assert_ne!(digest(&["1 A 5 1 17"]), digest(&["1 A 5 1 17", "2 POST 1 1 17"]));
    assert_ne!(digest(&["1 A 5 1 17"]), digest(&["1 A 5 1.0 17"]));
}

#[test]
fn every_line_is_counted_once() {
    let plan = plan(&["1 A 5 1 17", "1 POST 1 1 17", "1 post 1 1 17", "1 A x 1 17", "2 A -1 0 -"]);
    assert_eq!((plan.tally.read, plan.tally.taken()), (5, 2));
    assert_eq!(plan.tally.accounted()["not goods: POST"], [3, 4]);
    assert!(plan.tally.is_complete());
}
