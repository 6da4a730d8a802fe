//! Settings of single kinds of actors, kept for them without being known here.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::Arc,
};

/// At most one value of each type.
#[derive(Clone, Default)]
pub(crate) struct KindSettings(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl KindSettings {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, setting: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(setting));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl fmt::Debug for KindSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({})", self.0.len())
    }
}
