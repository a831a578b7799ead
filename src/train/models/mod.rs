//! The networks. Every layer keeps fp32 master weights and computes in the kind of its input, so a
//! bf16 input gives a bf16 forward and backward pass with fp32 gradients on the weights.

pub mod consistency;
pub mod discriminator;
pub mod frozen;
pub mod high_to_low;
pub mod identity;
pub mod layers;
pub mod low_to_high;
pub mod params;
pub mod perceptual;
pub mod projected;
pub mod spectral_norm;
