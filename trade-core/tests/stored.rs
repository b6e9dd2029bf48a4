//! Log records in every form that was ever written are read for good, and the newest is written as it was.

// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use trade_core::cause::Cause;
use trade_core::record::InvalidRecord;
use trade_core::step::Step;

/// The records of a form, each with the sequence of its last event and its events.
fn records(text: &str) -> Vec<(u64, Vec<u8>, Vec<Value>)> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    let record = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let bytes = line["record"].as_str().unwrap().as_bytes().chunks(2).map(byte).collect();
        (line["last"].as_u64().unwrap(), bytes, line["events"].as_array().unwrap().clone())
    };
    text.lines().map(record).collect()
}

/// Asserts that records are read as the events that they were written for.
fn assert_read(form: u8, records: &[(u64, Vec<u8>, Vec<Value>)]) {
    assert!(records.len() > 20, "there is something of everything");
    for (last, bytes, events) in records {
        assert_eq!(bytes[0], form);
        let step = Step::decode(bytes).unwrap();
        let read = step.events(last + 1 - step.event_count());
        let read: Vec<Value> = read.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(&read, events, "the step that ends at {last}");
    }
}

#[test]
fn the_first_form_is_read() {
    let records = records(include_str!("stored/records-1.jsonl"));
    assert_read(1, &records);
    // The arrival time that was asked for is told to nobody.
    let asked =
        |bytes: &Vec<u8>| Step::decode(bytes).unwrap().cargo.as_ref().and_then(|cargo| cargo.requested_eta);
    let asked: Vec<String> =
        records.iter().filter_map(|(_, bytes, _)| asked(bytes)).map(|eta| eta.to_string()).collect();
    assert_eq!(asked, ["2026-12-01T00:00:00.000Z"; 3], "of the three steps of one shipment");
}

#[test]
fn the_second_form_is_read() {
    assert_read(2, &records(include_str!("stored/records-2.jsonl")));
}

#[test]
fn the_third_form_is_read_and_written() {
    let records = records(include_str!("stored/records-3.jsonl"));
    assert_read(3, &records);
    let causes = records.iter().filter_map(|(_, bytes, _)| Step::decode(bytes).unwrap().cause.clone());
    let causes: Vec<_> = causes.collect();
    let known = |what: fn(&Cause) -> bool| causes.iter().filter(|cause| what(cause)).count();
    assert!(known(|cause| cause.trace_parent.is_some()) > 2);
    assert!(known(|cause| cause.request_id.as_ref().is_some_and(|id| id.contains('-'))) > 2);
    assert!(known(|cause| cause.address.is_some_and(|address| address.is_ipv6())) > 2);
    for (last, bytes, _) in &records {
        assert_eq!(Step::decode(bytes).unwrap().encode().as_ref(), Ok(bytes), "the step that ends at {last}");
    }
}

#[test]
fn a_newer_form_is_told_as_such() {
    let (_, bytes, _) = records(include_str!("stored/records-3.jsonl")).remove(0);
    for form in [4, 200, 255] {
        let newer = [&[form], &bytes[1..]].concat();
        let error = Step::decode(&newer).unwrap_err();
        assert_eq!(error, InvalidRecord::Newer(form));
        assert!(error.to_string().contains("written by a newer version"), "{error}");
    }
}
