//! Loops in wider registers, where the processor has them.

/// Compiles a function twice, for any processor and for those with AVX2, and calls the one that
/// fits. Both have the same results: nothing is fused, nothing summed in another order. What the
/// function calls must be inlined into it to gain; closures are, functions may have to be told.
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
