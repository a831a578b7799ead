//! Functions compiled for AVX2 as well, chosen at run time.

/// Compiles a function twice, for any processor and for those with AVX2, and calls the one that
/// fits. Both return the same bits: nothing is fused, and sums keep their order. On arm64 one is
/// enough: every such processor has NEON, and the compiler counts on it. Functions that it calls
/// gain only if they are inlined; closures are, others need `#[inline(always)]`.
macro_rules! with_avx2 {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn anywhere($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    anywhere($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { avx2($($arg),*) };
                }
            }
            anywhere($($arg),*);
        }
    };
}
pub(crate) use with_avx2;
