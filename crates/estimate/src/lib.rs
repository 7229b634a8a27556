//! What a job costs: in a plan and a list of prices, out an amount for MediaConvert, for Lambda and for a machine that one
//! owns, each with every factor that it came from.
//!
//! Pure. Money is whole millionths of a dollar, never a float. Never a price that nobody named a source for: what is not
//! known is said to be not known.

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
