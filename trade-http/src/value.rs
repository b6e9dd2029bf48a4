//! What a body may hold. One definition of a value says how it is read, how it is checked, and how it is described.

use crate::fields::{Node, Value, text};
use crate::json::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use trade_core::access::Role;
use trade_core::command::AdjustmentReason;
use trade_core::resource::{CargoStatus, Settlement, TradeStatus};
use trade_core::values::{
    Amount, Currency, Delta, ItemId, Label, Quantity, ShipmentId, StationId, Timestamp, TransactionId,
};

impl<T: Value> Value for Option<T> {
    fn read(node: Node<'_>) -> Option<Self> {
        T::read(node).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Strings of a form.
macro_rules! texts {
    ($($type:ty),+ $(,)?) => {$(
        impl Value for $type {
            fn read(node: Node<'_>) -> Option<Self> {
                text(node)
            }
        }
    )+};
}

texts! {
    Role, Amount, CargoStatus, Currency, ItemId, Label, Settlement, ShipmentId, StationId, Timestamp, TradeStatus,
    TransactionId, AdjustmentReason,
}

impl Value for bool {
    fn read(node: Node<'_>) -> Option<Self> {
        let Json::Bool(value) = node.json else { return node.fault("must be true or false") };
        Some(*value)
    }
}

impl Value for Quantity {
    fn read(node: Node<'_>) -> Option<Self> {
        node.integer(|units| Self::new(u64::try_from(units).unwrap_or(0)))
    }
}

impl Value for Delta {
    fn read(node: Node<'_>) -> Option<Self> {
        node.integer(Self::new)
    }
}

/// A list of `MIN` to `MAX` values.
#[derive(Debug)]
pub(crate) struct List<T, const MIN: usize, const MAX: usize>(pub(crate) Vec<T>);

impl<T: Value, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    /// Its bounds, and what it holds.
    pub(crate) const BOUNDS: (usize, usize, &'static str) = (MIN, MAX, T::PLURAL);
}

impl<T: Value, const MIN: usize, const MAX: usize> Value for List<T, MIN, MAX> {
    fn read(node: Node<'_>) -> Option<Self> {
        node.list(Self::BOUNDS, |_, node| T::read(node)).map(Self)
    }
}

impl<T: JsonSchema, const MIN: usize, const MAX: usize> JsonSchema for List<T, MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}s", T::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let items = schemas.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items, "minItems": MIN, "maxItems": MAX })
    }
}

/// Defines objects of a body: the name of each member in JSON, and its type. An `Option` may be absent, or null; every other
/// member must be there, and no member besides.
macro_rules! body {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis struct $type:ident ($plural:literal) {
            $($(#[$member_attribute:meta])* $name:literal => $member:ident: $value:ty,)+
        }
    )+) => {$(
        #[derive(Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$attribute])*
        $visibility struct $type {
            $($(#[$member_attribute])* #[schemars(rename = $name)] pub(crate) $member: $value,)+
        }

        impl crate::fields::Value for $type {
            const PLURAL: &'static str = $plural;

            fn read(node: crate::fields::Node<'_>) -> Option<Self> {
                let object = node.object(&[$($name),+])?;
                // Each is read, also after a faulty one.
                $(let $member = object.member($name);)+
                Some(Self { $($member: $member?),+ })
            }
        }
    )+};
}
pub(crate) use body;
