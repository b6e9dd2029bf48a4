//! What path and query may hold. One definition of a parameter says how it is read, checked and described.

use crate::app::App;
use crate::call::Call;
use crate::cursor::{Cursor, Paging};
use crate::input::{Input, LIST_VALUES_MAX, Place, position};
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use trade_core::resource::Sequence;
use trade_core::values::InvalidValue;

/// A parameter as it is described.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "openapi"),
    allow(dead_code, reason = "it is only read where there is a description")
)]
pub(crate) struct ParameterDescription {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) description: String,
    pub(crate) schema: Schema,
}

/// The parameters of an operation: see [`parameters`].
pub(crate) trait Parameters: Sized {
    /// Their names, and where they stand.
    const NAMES: &'static [(&'static str, Place)];

    /// Reads them. What is not as it must be is noted among the faults.
    fn read(input: &Input<'_>) -> Option<Self>;

    fn describe(schemas: &mut SchemaGenerator) -> Vec<ParameterDescription>;
}

impl Call {
    /// Reads path and query.
    pub(crate) fn read<P: Parameters>(&self) -> Result<P, Problem> {
        let input = Input::new(self, P::NAMES);
        let parameters = P::read(&input);
        input.faults.settle(parameters)
    }
}

/// One of them.
pub(crate) trait Parameter: Sized {
    const PLACE: Place = Place::Query;

    /// Reads it. A faulty one is noted, and then read as none.
    fn read(input: &Input<'_>, name: &str) -> Option<Self>;

    fn schema(schemas: &mut SchemaGenerator) -> Schema;
}

/// A form that the text of a parameter may have.
pub(crate) trait Word: for<'t> TryFrom<&'t str, Error = InvalidValue> + JsonSchema {}
impl<T: for<'t> TryFrom<&'t str, Error = InvalidValue> + JsonSchema> Word for T {}

/// The id that ends the path.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<T: Word> Parameter for Id<T> {
    const PLACE: Place = Place::Path;

    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        input.id_from_end(name, 0).map(Self)
    }

    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
}

/// The id before the last word of the path.
#[derive(Debug)]
pub(crate) struct IdBeforeEnd<T>(pub(crate) T);

impl<T: Word> Parameter for IdBeforeEnd<T> {
    const PLACE: Place = Place::Path;

    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        input.id_from_end(name, 1).map(Self)
    }

    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
}

/// An id, a word or a time, that may be absent.
impl<T: Word> Parameter for Option<T> {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        Some(input.parameter(name, |text| T::try_from(text)))
    }

    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<T>()
    }
}

/// A list with commas, each value of it once; empty where it is absent.
#[derive(Debug)]
pub(crate) struct Listed<T>(pub(crate) Vec<T>);

impl<T: Word> Parameter for Listed<T> {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        Some(Self(input.list(name, |text| T::try_from(text))))
    }

    fn schema(schemas: &mut SchemaGenerator) -> Schema {
        let items = schemas.subschema_for::<T>();
        let bound = format!("At most {LIST_VALUES_MAX} different values.");
        json_schema!({ "description": bound, "type": "array", "items": items, "minItems": 1 })
    }
}

/// A text of any form.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) Option<String>);

impl Parameter for Text {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        Some(Self(input.parameter(name, |text| Ok(text.to_owned()))))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]*$", "examples": ["41"] })
    }
}

/// `true` or `false`, which it is where it is absent.
#[derive(Debug)]
pub(crate) struct Flag(pub(crate) bool);

impl Parameter for Flag {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        let read = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(InvalidValue::new("must be true or false")),
        };
        Some(Self(input.parameter(name, read).unwrap_or(false)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean", "default": false })
    }
}

/// A position in the log, 0 where it is absent.
#[derive(Debug)]
pub(crate) struct After(pub(crate) Sequence);

impl Parameter for After {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        let read =
            |text: &str| position(text).ok_or_else(|| InvalidValue::new("must be an integer of 0 or more"));
        Some(Self(input.parameter(name, read).unwrap_or(0)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "default": 0 })
    }
}

/// The rows of a page: 1 to `MAX`, or so many where it is absent.
#[derive(Debug)]
pub(crate) struct Limit<const MAX: usize, const DEFAULT: usize>(pub(crate) usize);

impl<const MAX: usize, const DEFAULT: usize> Parameter for Limit<MAX, DEFAULT> {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        Some(Self(input.integer_within(name, 1..=MAX).unwrap_or(DEFAULT)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX, "default": DEFAULT })
    }
}

/// Where the page before ended.
impl<P: Cursor> Parameter for Paging<P> {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        input.paging(name)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9-]+$", "examples": ["t29-0c3f9b1d"] })
    }
}

impl Parameters for () {
    const NAMES: &'static [(&'static str, Place)] = &[];

    fn read(_: &Input<'_>) -> Option<Self> {
        Some(())
    }

    fn describe(_: &mut SchemaGenerator) -> Vec<ParameterDescription> {
        Vec::new()
    }
}

/// A request without a body, with its parameters.
#[derive(Debug)]
pub(crate) struct Asked<P> {
    pub(crate) call: Call,
    pub(crate) parameters: P,
}

impl<P: Parameters> FromRequestParts<App> for Asked<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let call = Call::of(parts);
        let parameters = call.read()?;
        Ok(Self { call, parameters })
    }
}

/// Defines the parameters of an operation: the name of each, and its type.
macro_rules! parameters {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis struct $type:ident {
            $($(#[doc = $description:literal])+ $name:literal => $member:ident: $value:ty,)+
        }
    )+) => {$(
        $(#[$attribute])*
        #[derive(Debug)]
        $visibility struct $type {
            $($(#[doc = $description])+ $member: $value,)+
        }

        impl crate::query::Parameters for $type {
            const NAMES: &'static [(&'static str, crate::input::Place)] =
                &[$(($name, <$value as crate::query::Parameter>::PLACE)),+];

            fn read(input: &crate::input::Input<'_>) -> Option<Self> {
                // Each is read, also after a faulty one.
                $(let $member = crate::query::Parameter::read(input, $name);)+
                Some(Self { $($member: $member?),+ })
            }

            fn describe(
                schemas: &mut schemars::SchemaGenerator,
            ) -> Vec<crate::query::ParameterDescription> {
                vec![$(crate::query::ParameterDescription {
                    name: $name,
                    place: <$value as crate::query::Parameter>::PLACE,
                    description: concat!($($description),+).trim().to_owned(),
                    schema: <$value as crate::query::Parameter>::schema(schemas),
                }),+]
            }
        }
    )+};
}
pub(crate) use parameters;
