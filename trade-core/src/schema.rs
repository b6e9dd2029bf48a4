//! JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) of what is written as JSON: each type implements
//! [`schemars::JsonSchema`], from the definition that its `Serialize` comes from.
//!
//! ```
//! use trade_core::event::EventType;
//!
//! let mut generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
//! let schema = trade_core::schema::event(&mut generator, EventType::CargoUpdated);
//! assert_eq!(schema.get("$ref"), Some(&"#/$defs/CargoUpdated".into()));
//! assert_eq!(generator.definitions()["CargoUpdated"]["properties"]["type"]["const"], "cargoUpdated");
//! assert!(generator.definitions().contains_key("Cargo"));
//! ```

use crate::access::KeyId;
use crate::cause::TraceParent;
use crate::command::AdjustmentReason;
use crate::event::{Actor, CloudEvent, Event, EventType, InventoryUpdate, SOURCE, SPEC_VERSION, Topic};
use crate::resource::{Cargo, Line, Lines, Place, Trade};
use crate::values::{
    Amount, Currency, Delta, ID_PATTERN, ItemId, Label, Metadata, Quantity, ShipmentId, StationId, Timestamp,
    TransactionId, UNITS_MAX,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;

/// The schema of a type that is written by hand: its own `Serialize` is as well.
macro_rules! schemas {
    ($($name:ident: |$generator:pat_param| $schema:expr;)+) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )+};
}

fn id(description: &str, length_max: usize, example: &str) -> Schema {
    json_schema!({
        "description": description, "type": "string", "minLength": 1, "maxLength": length_max, "pattern": ID_PATTERN,
        "examples": [example],
    })
}

/// A decimal number of at most so many integer digits, as a regular expression.
pub fn amount_pattern(integer_digits_max: usize) -> String {
    format!(r"^[0-9]{{1,{integer_digits_max}}}(\.[0-9]{{1,{}}})?$", Amount::FRACTION_DIGITS_MAX)
}

/// Without the characters that Unicode calls controls.
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

schemas! {
    StationId: |_| id("Names a station.", Self::LENGTH_MAX, "ceres");
    KeyId: |_| json_schema!({
        "description": "Names an API key.", "type": "string", "pattern": "^[a-z0-9]{12}$", "examples": ["a1b2c3d4e5f6"],
    });
    ItemId: |_| id("Names an item of stock.", Self::LENGTH_MAX, "fuel");
    TransactionId: |_| id("Names a trade.", Self::LENGTH_MAX, "T-1");
    ShipmentId: |_| id("Names a shipment.", Self::LENGTH_MAX, "shipment-T-1");
    Label: |_| json_schema!({
        "description": "A name or a location, without control characters.",
        "type": "string", "minLength": 1, "maxLength": Self::LENGTH_MAX, "pattern": NO_CONTROL,
        "examples": ["Docking bay 4"],
    });
    Metadata: |_| json_schema!({
        "description": "What an application keeps: texts by their names, given back as they came.",
        "type": "object",
        "maxProperties": Self::MEMBERS_MAX,
        "propertyNames": {
            "pattern": r"^[A-Za-z0-9_.-]+$", "minLength": 1, "maxLength": Self::NAME_LENGTH_MAX,
        },
        "additionalProperties": { "type": "string", "maxLength": Self::TEXT_LENGTH_MAX, "pattern": NO_CONTROL },
        "examples": [{ "orderNumber": "4711" }],
    });
    Amount: |_| json_schema!({
        "description": "A decimal number of 0 or more. It keeps its digits: 2.50 is written back as 2.50.",
        "type": "string", "pattern": amount_pattern(Self::TOTAL_INTEGER_DIGITS_MAX), "examples": ["12.50"],
    });
    Currency: |_| json_schema!({
        "description": "A currency code, as in ISO 4217 and beyond it.",
        "type": "string", "examples": ["GBP"],
        "pattern": format!("^[A-Z]{{{},{}}}$", Self::LENGTH_MIN, Self::LENGTH_MAX),
    });
    Quantity: |_| json_schema!({
        "description": "A number of units.",
        "type": "integer", "minimum": 1, "maximum": UNITS_MAX, "examples": [30],
    });
    Delta: |_| json_schema!({
        "description": "Units that came in (positive) or left (negative).",
        "type": "integer", "minimum": -i128::from(UNITS_MAX), "maximum": UNITS_MAX, "not": { "const": 0 },
        "examples": [20],
    });
    Timestamp: |_| json_schema!({
        "description": "A moment, as of RFC 3339. It is written in UTC with milliseconds.",
        "type": "string", "format": "date-time", "examples": ["2026-11-22T10:00:00.000Z"],
    });
    Lines: |generator| json_schema!({
        "description": "Lines in the order they came, no two alike in both item and price.",
        "type": "array", "items": generator.subschema_for::<Line>(), "minItems": 1, "maxItems": Self::COUNT_MAX,
    });
    Place: |_| json_schema!({
        "description": "Where stock moves from or to: station/{stationId}, transit (on its way), or world (outside).",
        "type": "string", "pattern": "^(transit|world|station/.+)$", "examples": ["station/ceres"],
    });
    Actor: |_| json_schema!({
        "description": "Who caused it: nobody in particular, the network itself, an API key or a user.",
        "type": "string", "pattern": "^(anonymous|network|key:.*|user:.*)$", "examples": ["anonymous"],
    });
    AdjustmentReason: |_| {
        let words: Vec<_> = Self::ALL.iter().map(|reason| reason.movement().as_str()).collect();
        json_schema!({ "description": "Why stock is adjusted.", "type": "string", "enum": words })
    };
    TraceParent: |_| json_schema!({
        "description": "A place in a trace, as traceparent of W3C Trace Context has it.",
        "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    });
    Topic: |_| {
        let words = Self::ALL.map(Self::as_str);
        json_schema!({ "description": "What an event is about.", "type": "string", "enum": words })
    };
    Event: |generator| {
        let kinds: Vec<_> = EventType::ALL.iter().map(|kind| event(generator, *kind)).collect();
        json_schema!({ "oneOf": kinds })
    };
}

/// What an event of a trade carries.
#[derive(JsonSchema)]
struct TradeData {
    /// The trade after the event.
    #[allow(dead_code, reason = "only described")]
    trade: Trade,
}

/// What an event of a shipment carries.
#[derive(JsonSchema)]
struct CargoData {
    /// The shipment after the event.
    #[allow(dead_code, reason = "only described")]
    cargo: Cargo,
}

/// The schema of the events of one kind, by reference: a CloudEvent, and in its `data` the resource after it. It is among the
/// definitions of the generator under the name of the kind in Rust, such as `CargoUpdated`.
pub fn event(generator: &mut SchemaGenerator, kind: EventType) -> Schema {
    let name = format!("{kind:?}");
    let reference = format!("#{}/{name}", generator.settings().definitions_path);
    if generator.definitions().contains_key(&name) {
        return Schema::new_ref(reference);
    }
    let (mut schema, subject, example) = match kind.topic() {
        Topic::Trade => (CloudEvent::<&str, TradeData>::json_schema(generator), "trades", "T-1"),
        Topic::Cargo => (CloudEvent::<&str, CargoData>::json_schema(generator), "cargo", "shipment-T-1"),
        Topic::Inventory => {
            (CloudEvent::<&str, InventoryUpdate>::json_schema(generator), "inventory", "ceres")
        }
    };
    let fixed = [
        ("specversion", json_schema!({ "type": "string", "const": SPEC_VERSION })),
        ("id", json_schema!({ "type": "string", "pattern": "^[0-9]+$", "examples": ["7"] })),
        ("source", json_schema!({ "type": "string", "const": SOURCE })),
        ("type", json_schema!({ "type": "string", "const": kind.as_str() })),
        (
            "subject",
            json_schema!({
                "type": "string", "pattern": format!("^{subject}/.+$"), "examples": [format!("{subject}/{example}")],
            }),
        ),
    ];
    for (name, narrowed) in fixed {
        if let Some(Value::Object(property)) = schema.pointer_mut(&format!("/properties/{name}")) {
            // Its description stays.
            property.remove("$ref");
            property.extend(narrowed.as_object().cloned().unwrap_or_default());
        }
    }
    generator.definitions_mut().insert(name, schema.to_value());
    Schema::new_ref(reference)
}
