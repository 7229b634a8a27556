//! Estimates what a job costs on MediaConvert, on Lambda and on your own machine.
//!
//! Takes a plan and a list of prices and returns amounts together with the factors behind them. The crate is pure.
//! Money is a whole number of millionths of a dollar, never a float. Every price has a source. A price without a source
//! is reported as not known.

mod billing;
mod compute;
mod error;
mod prices;
mod usd;

pub use billing::{BilledOutput, MediaConvertEstimate, bill};
pub use compute::{ComputeEstimate, Machine, own_machine, serverless};
pub use error::Error;
pub use prices::{Prices, RegionPrices};
pub use usd::MicroUsd;
