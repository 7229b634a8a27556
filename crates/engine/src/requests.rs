//! Checks what users ask for before it is stored: jobs, presets, templates, and where outputs go.

pub(crate) mod destinations;
pub(crate) mod quotas;
pub(crate) mod resource_checks;
pub mod submission;
