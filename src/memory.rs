//! Memory that is not needed any more goes back to the system.
//!
//! The allocator keeps what is freed for a while, and looks at it again when more is
//! allocated. After files were loaded nothing may be allocated for a long time.

/// Gives back what is free by now. Takes some milliseconds: for after something large.
#[expect(unsafe_code, reason = "the allocator is written in C")]
pub fn give_back() {
    // SAFETY: it takes no pointer, and may be called at any time by any thread.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
