//! Reading the fields of a request, all of them, so that every fault is told at once.

use crate::json::{Json, Number};
use crate::problem::{FieldFault, Problem};
use schemars::JsonSchema;
use std::cell::{Cell, RefCell};
use std::fmt;
use trade_core::values::InvalidValue;

/// The most faults that one answer lists; more are only counted.
const FAULTS_LISTED_MAX: usize = 100;
/// The most characters of an unknown name that are repeated.
const NAME_SHOWN_MAX: usize = 128;

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    listed: RefCell<Vec<FieldFault>>,
    count: Cell<usize>,
    /// The place in a list of the first value that is at fault, where that is told.
    offender: Cell<Option<usize>>,
}

impl Faults {
    /// Notes a fault; the reader goes on without the value.
    pub(crate) fn add<T>(&self, field: impl fmt::Display, detail: impl Into<String>) -> Option<T> {
        self.count.set(self.count.get() + 1);
        let mut listed = self.listed.borrow_mut();
        if listed.len() < FAULTS_LISTED_MAX {
            listed.push(FieldFault { field: field.to_string(), detail: detail.into() });
        }
        None
    }

    /// Notes a fault where there is one.
    pub(crate) fn check<T>(&self, field: impl fmt::Display, value: Result<T, InvalidValue>) -> Option<T> {
        value.map_or_else(|InvalidValue(detail)| self.add(field, detail), Some)
    }

    /// How many were found.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Notes which value of a list is at fault; the first one counts.
    pub(crate) fn blame(&self, index: usize) {
        self.offender.set(self.offender.get().or(Some(index)));
    }

    /// What was read, if there was no fault.
    pub(crate) fn settle<T>(self, read: Option<T>) -> Result<T, Problem> {
        if self.count.get() > 0 {
            let problem = Problem::invalid(self.listed.into_inner(), self.count.get());
            return Err(match self.offender.get() {
                Some(index) => problem.at(index),
                None => problem,
            });
        }
        read.ok_or_else(|| {
            tracing::error!("a request was not understood, and no field is at fault");
            Problem::internal()
        })
    }
}

/// Shortens a name that came from outside.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX).collect()
}

/// Where a value stands in the body, such as `trades[3].items[0].quantity`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'p> {
    /// What is read as a whole, by the name it has as a whole; its members go without it.
    Root(&'p str),
    Member(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) | Self::Member(Self::Root(_), name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value to be read, at its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'n> {
    pub(crate) json: &'n Json<'n>,
    path: &'n Path<'n>,
    pub(crate) faults: &'n Faults,
}

impl<'n> Node<'n> {
    /// The body itself.
    pub(crate) fn body(json: &'n Json<'n>, faults: &'n Faults) -> Self {
        Self { json, path: &Path::Root("body"), faults }
    }

    /// A trade on its own, read as if it were the body.
    pub(crate) fn trade(json: &'n Json<'n>, faults: &'n Faults) -> Self {
        Self { json, path: &Path::Root("trade"), faults }
    }

    /// Notes that this value is not as it must be.
    pub(crate) fn fault<T>(self, detail: impl Into<String>) -> Option<T> {
        self.faults.add(self.path, detail)
    }

    /// An object with these members at most.
    pub(crate) fn object(self, known: &[&'static str]) -> Option<Object<'n>> {
        let Json::Object(members) = self.json else { return self.fault("must be an object") };
        for (name, _) in members.iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
            let name = shown(name);
            self.faults.add::<()>(Path::Member(self.path, &name), "is not a known field");
        }
        Some(Object { members, path: self.path, faults: self.faults })
    }

    /// An object of at most so many members, of any names, each of which is read.
    pub(crate) fn members<T>(
        self,
        count_max: usize,
        read: impl Fn(&str, Node<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Json::Object(members) = self.json else { return self.fault("must be an object") };
        if members.len() > count_max {
            return self.fault(format!("must hold at most {count_max} members"));
        }
        let read_member = |(name, json): &(std::borrow::Cow<'_, str>, Json<'_>)| {
            let path = Path::Member(self.path, &shown(name));
            read(name, Node { json, path: &path, faults: self.faults })
        };
        // Each is read, also after a faulty one.
        let read: Vec<Option<T>> = members.iter().map(read_member).collect();
        read.into_iter().collect()
    }

    /// A list of `count_min` to `count_max` values, called `what` in the plural, each of which is read with its place.
    pub(crate) fn list<T>(
        self,
        (count_min, count_max, what): (usize, usize, &str),
        read: impl Fn(usize, Node<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Json::List(values) = self.json else { return self.fault("must be a list") };
        if values.len() < count_min || values.len() > count_max {
            return self.fault(format!("must hold {count_min} to {count_max} {what}"));
        }
        let read_at = |(index, json)| {
            read(index, Node { json, path: &Path::Index(self.path, index), faults: self.faults })
        };
        // Each is read, also after a faulty one.
        let read: Vec<Option<T>> = values.iter().enumerate().map(read_at).collect();
        read.into_iter().collect()
    }

    /// A string of any form.
    pub(crate) fn string(self) -> Option<&'n str> {
        let Json::Text(text) = self.json else { return self.fault("must be a string") };
        Some(text)
    }

    /// An integer of a form.
    pub(crate) fn integer<T>(self, read: impl FnOnce(i64) -> Result<T, InvalidValue>) -> Option<T> {
        match self.json {
            Json::Number(Number::Integer(integer)) => self.faults.check(self.path, read(*integer)),
            // Beyond i64, and so beyond every range there is.
            Json::Number(Number::Large(_)) => self.faults.check(self.path, read(i64::MAX)),
            Json::Number(Number::Other(_)) => {
                self.fault("must be an integer, written without fraction and exponent, in range")
            }
            _ => self.fault("must be an integer, as a JSON number"),
        }
    }
}

/// A value of a body.
pub(crate) trait Value: JsonSchema + Sized {
    /// What many of them are called.
    const PLURAL: &'static str = "values";

    /// Reads it. What is not as it must be is noted among the faults.
    fn read(node: Node<'_>) -> Option<Self>;

    /// What stands for it where it is absent, or null; nothing where it must be there.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a string of a form.
pub(crate) fn text<T: for<'t> TryFrom<&'t str, Error = InvalidValue>>(node: Node<'_>) -> Option<T> {
    let text = node.string()?;
    node.faults.check(node.path, T::try_from(text))
}

/// An object whose members are read by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'n> {
    members: &'n [(std::borrow::Cow<'n, str>, Json<'n>)],
    path: &'n Path<'n>,
    faults: &'n Faults,
}

impl Object<'_> {
    /// A member, or what stands for it where there is none.
    pub(crate) fn member<T: Value>(&self, name: &'static str) -> Option<T> {
        self.read(name, T::read, T::absent)
    }

    /// A member that must be there, read in a way of its own.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Option<T>,
    ) -> Option<T> {
        self.read(name, read, || None)
    }

    fn read<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Option<T>,
        absent: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let path = Path::Member(self.path, name);
        match self.find(name) {
            Some(json) => read(Node { json, path: &path, faults: self.faults }),
            None => absent().or_else(|| self.faults.add(path, "is missing")),
        }
    }

    /// A member that is there and not null.
    fn find(&self, name: &str) -> Option<&Json<'_>> {
        let place = self.members.binary_search_by(|(key, _)| key.as_ref().cmp(name)).ok()?;
        self.members.get(place).map(|(_, json)| json).filter(|json| **json != Json::Null)
    }
}
