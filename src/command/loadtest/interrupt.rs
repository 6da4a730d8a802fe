//! Ctrl-C: the first ends the run in order, the second the process.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

use super::super::{Failure, INTERRUPTED, output};
use crate::loadtest::plan::Control;

#[derive(Default)]
struct State {
    is_raised: bool,
    control: Option<Arc<Control>>,
}

/// Whether Ctrl-C was pressed, and what it ends.
pub(super) struct Interrupt {
    state: Arc<Mutex<State>>,
}

impl Interrupt {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let state = Arc::new(Mutex::new(State::default()));
        let raised = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Taken here and not by the thread: whatever is told from now on may be answered by it.
        let mut pressed = {
            let _inside = runtime.enter();
            signal(SignalKind::interrupt())?
        };
        thread::spawn(move || {
            runtime.block_on(async {
                while pressed.recv().await.is_some() {
                    raise(&raised);
                }
            });
        });
        Ok(Self { state })
    }

    /// Whether it was pressed.
    pub(super) fn is_raised(&self) -> bool {
        self.state.lock().expect("nobody panics with it").is_raised
    }

    /// The run to end from now on.
    pub(super) fn stops(&self, control: &Arc<Control>) {
        let mut state = self.state.lock().expect("nobody panics with it");
        if state.is_raised {
            control.stop();
        }
        state.control = Some(Arc::clone(control));
    }
}

fn raise(state: &Mutex<State>) {
    let mut state = state.lock().expect("nobody panics with it");
    if state.is_raised {
        std::process::exit(i32::from(INTERRUPTED));
    }
    state.is_raised = true;
    if let Some(control) = &state.control {
        control.stop();
    }
    output::note("ending; what there is will be shown");
}
