//! What the server and the programs beside it share: opening a store by its address, and reading whole numbers.

#![warn(missing_docs)]

pub mod number;
pub mod store;

/// What the README shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
