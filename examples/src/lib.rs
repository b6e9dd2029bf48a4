//! What the server and the programs beside it share: opening a store by its address.

#![warn(missing_docs)]

pub mod store;
