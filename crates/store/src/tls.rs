//! Chooses the cryptography for TLS: `ring`, for every client in the process.
//!
//! The HTTP client takes the process's default and fails without one. `ring` compiles in a tenth of the time of its
//! alternative, aws-lc, and needs no CMake.

/// Makes `ring` the process's default provider of cryptography. Calls after the first change nothing.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
