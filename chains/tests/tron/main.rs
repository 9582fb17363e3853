//! Tron sweeps, against what tronpy and TronWeb make (`tests/vectors/tron`) and against an encoder
//! and decoder of protobuf that is not ours.
#![allow(clippy::unwrap_used)]

mod documentation;
mod messages;
mod policy;
mod properties;
mod refusals;
mod vectors;
