//! Named places where tests end the process as a power cut would; nothing of it is in release builds.

/// Aborts the process here when `MILEPOST_CRASHPOINT` names this point (`name`, or `name:N` for its Nth passing).
macro_rules! crashpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::deliver::crashpoint::reach($name);
    };
}

/// Aborts when the environment names `point` and it was passed often enough.
#[cfg(debug_assertions)]
pub(super) fn reach(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = crate::settings::variable("MILEPOST_CRASHPOINT")?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().unwrap_or(1)))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);

    if let Some((name, times)) = CHOSEN.as_ref()
        && name == point
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *times
    {
        std::process::abort();
    }
}
