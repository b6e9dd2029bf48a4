//! The model as a reference state machine: a network is led through any of its lives, and is at each step what the model is.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::sync::Arc;
use tokio::runtime::Runtime;
use trade_core::clock::{ManualClock, UuidV7};
use trade_core::command::{Command, Request};
use trade_core::memory::MemoryStore;
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::testing::fixtures::start_time;
use trade_core::testing::likely;
use trade_core::testing::model::{Model, Verdict};
use trade_core::testing::snapshot::Snapshot;
use trade_core::testing::strategies::World;

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Command;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Command> {
        likely::command(model, World::SMALL)
    }

    fn apply(mut model: Model, command: &Command) -> Model {
        model.apply(command, start_time());
        model
    }
}

struct Network {
    runtime: Runtime,
    store: Arc<MemoryStore>,
    service: TradeService,
}

impl StateMachineTest for Network {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Model) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(start_time()));
        let options = ServiceOptions::default();
        let service = runtime.block_on(async {
            TradeService::start_with(store.clone(), clock, Arc::new(UuidV7), options).await
        });
        Self { runtime, store, service: service.expect("it starts") }
    }

    fn apply(network: Self, _: &Model, command: Command) -> Self {
        // What is refused leaves the model as it was, too.
        let _ = network.runtime.block_on(network.service.submit(Request::new(command)));
        network
    }

    fn check_invariants(network: &Self, model: &Model) {
        let stored = network.runtime.block_on(Snapshot::of(&*network.store));
        model.assert_same(&stored);
        for inventory in &stored.inventories {
            for item in &inventory.items {
                let level = model.level(&inventory.station_id, &item.item_id);
                assert_eq!(level, Some(item.level));
            }
        }
        for trade in &stored.trades {
            assert_eq!(model.trade(&trade.transaction_id), Some(trade.status));
        }
        for cargo in &stored.cargo {
            assert_eq!(model.cargo(&cargo.shipment_id), Some(cargo.status));
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_network_lives_as_its_model_does(sequential 1..40 => Network);
}

/// Most of what is likely is taken, whatever came before.
#[test]
fn what_is_likely_is_mostly_taken() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut model, mut taken) = (Model::default(), 0);
    for _ in 0..1_000 {
        let command =
            likely::command(&model, World::SMALL).new_tree(&mut runner).expect("a command").current();
        taken += u32::from(model.apply(&command, start_time()) == Verdict::Taken);
    }
    assert!(taken > 700, "{taken} of 1000 are taken");
}
