//! Every engine keeps every promise of the seam.

use std::{cell::RefCell, sync::Arc};

use lanekeeper_storage::{
    EmbeddedEngine, EmbeddedOptions, Engine, FaultDisk, FaultEngine, MemoryEngine,
    conformance_suite,
};

use crate::embedded::small;

conformance_suite!(memory, || Arc::new(MemoryEngine::new()) as Arc<dyn Engine>);
conformance_suite!(fault, || Arc::new(FaultEngine::new(7)) as Arc<dyn Engine>);
conformance_suite!(embedded_in_memory, || {
    let engine = EmbeddedEngine::open_on(&FaultDisk::new(8), FaultEngine::options());
    Arc::new(engine.unwrap()) as Arc<dyn Engine>
});
conformance_suite!(embedded, || in_new_dir(small()));
conformance_suite!(embedded_that_is_always_due, || {
    in_new_dir(EmbeddedOptions { overlay_bytes: 0, ..small() })
});

thread_local! {
    /// The directories of a test go when its thread does.
    static DIRS: RefCell<Vec<tempfile::TempDir>> = const { RefCell::new(Vec::new()) };
}

fn in_new_dir(options: EmbeddedOptions) -> Arc<dyn Engine> {
    let dir = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(dir.path(), options).unwrap();
    DIRS.with_borrow_mut(|dirs| dirs.push(dir));
    Arc::new(engine)
}
