//! A story for every rule of the protocol, by its number, and for what one client or one address may do to the others.

mod addresses;
mod asking;
mod bad_input;
mod limits;
mod login;
mod people;
mod proofs;
#[cfg(feature = "encryption")]
mod sealed;
mod voice;
