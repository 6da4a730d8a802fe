//! What all actors of one kind share, made by its first use, kept for them without being known
//! here.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use parking_lot::RwLock;

/// At most one value of each type.
#[derive(Default)]
pub(crate) struct Extensions(RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Extensions {
    pub(crate) fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let known = self.0.read().get(&TypeId::of::<T>()).cloned();
        let shared = known.unwrap_or_else(|| {
            Arc::clone(
                self.0.write().entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())),
            )
        });
        shared.downcast().expect("a value is kept under its own type")
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.0.read().len())
    }
}
