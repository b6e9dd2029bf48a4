//! The library inside another program: two stations, a trade on delivery, and the events it makes.
//!
//! ```text
//! cargo run --example embed
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use trade_core::command::{CreateStation, InitiateTrade, Request, UpdateCargo};
use trade_core::event::EventFilter;
use trade_core::memory::MemoryStore;
use trade_core::resource::{CargoStatus, Line, Lines, Settlement};
use trade_core::service::TradeService;
use trade_core::store::InventoryQuery;
use trade_core::values::{Money, Quantity, ShipmentId, StationId, TransactionId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = TradeService::start(Arc::new(MemoryStore::new())).await?;
    let mut events = network.bus().subscribe(None, EventFilter::default());

    let (ceres, vesta) = (StationId::new("ceres")?, StationId::new("vesta")?);
    let ice = || Ok::<_, Box<dyn Error>>(("water-ice".try_into()?, Quantity::new(500)?));
    for (station_id, items) in [(ceres.clone(), vec![ice()?]), (vesta.clone(), vec![])] {
        let station = CreateStation { items, ..CreateStation::new(station_id) };
        network.submit(Request::new(station)).await?;
    }

    let price = Money::parse("12.50", "GBP")?;
    let line =
        Line { item_id: "water-ice".try_into()?, quantity: Quantity::new(120)?, unit_price: Some(price) };
    let transaction_id = TransactionId::new("T-1")?;
    let shipment_id = ShipmentId::of_trade(&transaction_id);
    let items = Lines::new(vec![line])?;
    let trade = InitiateTrade {
        settlement: Settlement::OnDelivery,
        ..InitiateTrade::new(transaction_id, vesta.clone(), ceres.clone(), items)
    };
    network.submit(Request::new(trade)).await?;
    levels(&network, "reserved at the seller, incoming at the buyer", [&ceres, &vesta]).await?;

    for (status, told) in [(CargoStatus::InTransit, "on its way"), (CargoStatus::Delivered, "arrived")] {
        let update = UpdateCargo { status: Some(status), ..UpdateCargo::new(shipment_id.clone()) };
        network.submit(Request::new(update)).await?;
        levels(&network, told, [&ceres, &vesta]).await?;
    }

    println!("\nwhat a subscriber saw:");
    let newest = network.bus().newest();
    while events.position() < newest
        && let Some(event) = events.next().await?
    {
        let event = event.event();
        println!("{:>4}  {:<17} {}", event.sequence, event.event_type.as_str(), event.subject());
    }
    network.shutdown().await;
    Ok(())
}

/// Prints what the stations hold.
async fn levels(network: &TradeService, when: &str, stations: [&StationId; 2]) -> Result<(), Box<dyn Error>> {
    println!("{when}:");
    for station in stations {
        let query = InventoryQuery { items: Vec::new(), after: None, limit: 10 };
        let Some(page) = network.store().inventory(station, &query).await? else { continue };
        for item in page.inventory.items {
            let level = item.level;
            println!(
                "  {:<6} {:<10} on hand {:>3}  reserved {:>3}  available {:>3}  incoming {:>3}",
                station.as_str(),
                item.item_id.as_str(),
                level.on_hand,
                level.reserved,
                level.available(),
                level.incoming
            );
        }
    }
    Ok(())
}
