//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the first ends the run in order, the second the process.

use std::sync::{Arc, Mutex};

use crate::{
    cli::{
        exit::{CommandFailure, INTERRUPTED},
        output,
        signals::{self, Ending},
    },
    loadtest::plan::run_plan::Control,
};

#[derive(Default)]
struct InterruptState {
    is_raised: bool,
    control: Option<Arc<Control>>,
}

/// Whether a signal said that it is enough, and what that ends.
pub(crate) struct Interrupt {
    state: Arc<Mutex<InterruptState>>,
}

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, CommandFailure> {
        let state = Arc::new(Mutex::new(InterruptState::default()));
        let raised = Arc::clone(&state);
        signals::on_each(move |ending| raise(&raised, ending))?;
        Ok(Self { state })
    }

    /// Whether one did.
    pub(crate) fn is_raised(&self) -> bool {
        self.state.lock().expect("nobody panics with it").is_raised
    }

    /// The run to end from now on.
    pub(crate) fn stops(&self, control: &Arc<Control>) {
        let mut state = self.state.lock().expect("nobody panics with it");
        if state.is_raised {
            control.stop();
        }
        state.control = Some(Arc::clone(control));
    }
}

fn raise(state: &Mutex<InterruptState>, ending: Ending) {
    let mut state = state.lock().expect("nobody panics with it");
    if state.is_raised {
        std::process::exit(i32::from(INTERRUPTED));
    }
    state.is_raised = true;
    if let Some(control) = &state.control {
        control.stop();
    }
    output::note(&format!("{}: ending; what there is will be shown", ending.name()));
}
