//! The commands, one file each.

#[cfg(feature = "aws")]
pub mod aws;
pub mod backup;
pub mod client_command;
pub mod dead_letters;
pub mod demo;
pub mod doctor;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod gc;
pub mod inspect;
pub mod local;
pub mod own_user;
pub mod plan;
pub mod probe;
pub mod receivers;
pub mod records;
pub mod s3;
pub mod sandbox;
pub mod serve;
pub mod task;
pub mod transcode;
