//! Tron sweeps, against what tronpy and TronWeb make (`tests/vectors/tron`) and against an encoder
//! and decoder of protobuf that is not ours; and what becomes of many signatures together.
#![allow(clippy::unwrap_used)]

mod documentation;
mod messages;
mod node;
mod policy;
mod pooled;
mod properties;
mod refusals;
mod vectors;
