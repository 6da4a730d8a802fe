//! Every call there is: its method, its path, and how a request finds it.

use actix_web::http::Method;

/// Makes the calls, and the list of all of them in their order.
macro_rules! routes {
    ($($name:ident)+) => {
        /// A call of the HTTP surface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Route {
            $($name,)+
        }

        impl Route {
            /// Every call, in the order of the enum.
            pub(crate) const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];
        }
    };
}

routes! {
    Push Pop Lease Ack Nack Extend DeadLetter Redrive Peek Message Cancel Promote ChangeMessage
    Purge Pause Resume
    Config Configure ChangeConfig Stats Sink SetSink ChangeSink RemoveSink DeleteQueue Queues
    Consume Subscribe Publish StreamConfig StreamConfigure StreamChangeConfig StreamStats
    DeleteStream GateAcquire GateRelease GateCancel GateExtend GateTicket GateStats GatePolicy
    GateSetPolicy GateChangePolicy GateDropPolicy GatePause GateResume DeleteGate ActionStats
    Heartbeat Deregister Worker DeleteWorker Workers Health Live Ready Metrics OpenApi Version
}

/// How many calls there are.
pub(crate) const ROUTE_COUNT: usize = Route::ALL.len();

impl Route {
    /// Its name, unlike every other's: such as `gate_acquire`.
    pub(crate) fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Its method and its path, with the variable parts in braces.
    pub(crate) fn template(self) -> (Method, &'static str) {
        match self {
            Self::Subscribe => (Method::GET, "/stream/{topic}"),
            Self::Publish => (Method::POST, "/stream/{topic}/publish"),
            Self::StreamConfig => (Method::GET, "/stream/{topic}/config"),
            Self::StreamConfigure => (Method::PUT, "/stream/{topic}/config"),
            Self::StreamChangeConfig => (Method::PATCH, "/stream/{topic}/config"),
            Self::StreamStats => (Method::GET, "/stream/{topic}/stats"),
            Self::DeleteStream => (Method::DELETE, "/stream/{topic}"),
            Self::GateAcquire => (Method::POST, "/gate/{id}/acquire"),
            Self::GateRelease => (Method::POST, "/gate/{id}/release"),
            Self::GateCancel => (Method::POST, "/gate/{id}/cancel"),
            Self::GateExtend => (Method::POST, "/gate/{id}/extend"),
            Self::GateTicket => (Method::GET, "/gate/{id}/ticket/{owner}"),
            Self::GateStats => (Method::GET, "/gate/{id}/stats"),
            Self::GatePolicy => (Method::GET, "/gate/{id}/policy"),
            Self::GateSetPolicy => (Method::PUT, "/gate/{id}/policy"),
            Self::GateChangePolicy => (Method::PATCH, "/gate/{id}/policy"),
            Self::GateDropPolicy => (Method::DELETE, "/gate/{id}/policy"),
            Self::GatePause => (Method::POST, "/gate/{id}/pause"),
            Self::GateResume => (Method::POST, "/gate/{id}/resume"),
            Self::DeleteGate => (Method::DELETE, "/gate/{id}"),
            Self::ActionStats => (Method::GET, "/api/v1/actions/{id}/queue-stats"),
            Self::Heartbeat => (Method::POST, "/worker/{id}/heartbeat"),
            Self::Deregister => (Method::POST, "/worker/{id}/deregister"),
            Self::Worker => (Method::GET, "/worker/{id}"),
            Self::DeleteWorker => (Method::DELETE, "/worker/{id}"),
            Self::Workers => (Method::GET, "/workers"),
            Self::Health => (Method::GET, "/health"),
            Self::Live => (Method::GET, "/health/live"),
            Self::Ready => (Method::GET, "/health/ready"),
            Self::Metrics => (Method::GET, "/metrics"),
            Self::OpenApi => (Method::GET, "/openapi.json"),
            Self::Version => (Method::GET, "/version"),
            route => route.template_of_queue(),
        }
    }

    fn template_of_queue(self) -> (Method, &'static str) {
        match self {
            Self::Push => (Method::POST, "/queue/{id}/push"),
            Self::Pop => (Method::POST, "/queue/{id}/pop"),
            Self::Lease => (Method::POST, "/queue/{id}/lease"),
            Self::Ack => (Method::POST, "/queue/{id}/ack"),
            Self::Nack => (Method::POST, "/queue/{id}/nack"),
            Self::Extend => (Method::POST, "/queue/{id}/extend"),
            Self::DeadLetter => (Method::POST, "/queue/{id}/dead-letter"),
            Self::Redrive => (Method::POST, "/queue/{id}/redrive"),
            Self::Peek => (Method::GET, "/queue/{id}/peek"),
            Self::Message => (Method::GET, "/queue/{id}/message/{mid}"),
            Self::Cancel => (Method::DELETE, "/queue/{id}/message/{mid}"),
            Self::Promote => (Method::POST, "/queue/{id}/message/{mid}/promote"),
            Self::ChangeMessage => (Method::PATCH, "/queue/{id}/message/{mid}"),
            Self::Purge => (Method::POST, "/queue/{id}/purge"),
            Self::Pause => (Method::POST, "/queue/{id}/pause"),
            Self::Resume => (Method::POST, "/queue/{id}/resume"),
            Self::Config => (Method::GET, "/queue/{id}/config"),
            Self::Configure => (Method::PUT, "/queue/{id}/config"),
            Self::ChangeConfig => (Method::PATCH, "/queue/{id}/config"),
            Self::Stats => (Method::GET, "/queue/{id}/stats"),
            Self::Sink => (Method::GET, "/queue/{id}/sink"),
            Self::SetSink => (Method::PUT, "/queue/{id}/sink"),
            Self::ChangeSink => (Method::PATCH, "/queue/{id}/sink"),
            Self::RemoveSink => (Method::DELETE, "/queue/{id}/sink"),
            Self::DeleteQueue => (Method::DELETE, "/queue/{id}"),
            Self::Queues => (Method::GET, "/queues"),
            Self::Consume => (Method::GET, "/queue/{id}/consume"),
            route => unreachable!("{route:?} is no call of a queue"),
        }
    }

    /// Whether it is about messages under work.
    pub(crate) fn is_of_lease(self) -> bool {
        matches!(
            self,
            Self::Lease | Self::Ack | Self::Nack | Self::Extend | Self::DeadLetter | Self::Redrive
        )
    }

    /// Whether it is about what a queue is told of itself, or says of itself.
    pub(crate) fn is_of_setting(self) -> bool {
        matches!(
            self,
            Self::Pause
                | Self::Resume
                | Self::Config
                | Self::Configure
                | Self::ChangeConfig
                | Self::Stats
                | Self::DeleteQueue
        )
    }

    /// Whether it is about the sink of a queue.
    pub(crate) fn is_of_sink(self) -> bool {
        matches!(self, Self::Sink | Self::SetSink | Self::ChangeSink | Self::RemoveSink)
    }

    /// Whether it answers without a token, so that a load balancer needs none.
    pub(crate) fn is_health(self) -> bool {
        matches!(self, Self::Health | Self::Live | Self::Ready)
    }
}

/// A path that was found, with its variable parts as they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteMatch<'p> {
    pub(crate) route: Route,
    pub(crate) id: &'p str,
    pub(crate) message: &'p str,
}

impl RouteMatch<'_> {
    /// What the id in the path names, if there is one.
    pub(crate) fn id_names(&self) -> Option<&'static str> {
        let (_, template) = self.route.template();
        let names = [
            ("/queue/", "queue id"),
            ("/stream/", "topic"),
            ("/gate/", "gate id"),
            ("/worker/", "worker id"),
            ("/api/v1/actions/", "action"),
        ];
        names.into_iter().find(|(prefix, _)| template.starts_with(prefix)).map(|(_, name)| name)
    }

    /// Whether the id in the path names a gate.
    pub(crate) fn is_of_gate(&self) -> bool {
        matches!(self.id_names(), Some("gate id" | "action"))
    }
}

/// Why no call was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// There is no such path.
    Path,
    /// The path is there, with these methods.
    Method(String),
}

/// Finds the call for a method and a path. `HEAD` finds what `GET` does.
pub(crate) fn find<'p>(method: &Method, path: &'p str) -> Result<RouteMatch<'p>, Missing> {
    let (routes, id, message) = routes_at(path).ok_or(Missing::Path)?;
    let is_meant = |route: &&Route| {
        let own = route.template().0;
        own == *method || (own == Method::GET && *method == Method::HEAD)
    };
    match routes.iter().find(is_meant) {
        Some(&route) => Ok(RouteMatch { route, id, message }),
        None => Err(Missing::Method(methods(routes))),
    }
}

/// The calls at a path, one for each method, and the path's variable parts.
fn routes_at(path: &str) -> Option<(&'static [Route], &str, &str)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let parts: [Option<&str>; 6] = std::array::from_fn(|_| parts.next());
    let (routes, id, message): (&'static [Route], _, _) = match parts {
        [Some("queue"), Some(id), None, ..] => (&[Route::DeleteQueue], id, ""),
        [Some("queue"), Some(id), Some(verb), None, ..] => (routes_of_verb(verb)?, id, ""),
        [Some("queue"), Some(id), Some("message"), Some(mid), None, _] => {
            (&[Route::Message, Route::Cancel, Route::ChangeMessage], id, mid)
        }
        [Some("queue"), Some(id), Some("message"), Some(mid), Some("promote"), None] => {
            (&[Route::Promote], id, mid)
        }
        [Some("stream"), Some(topic), None, ..] => {
            (&[Route::Subscribe, Route::DeleteStream], topic, "")
        }
        [Some("stream"), Some(topic), Some(verb), None, ..] => {
            (routes_of_stream_verb(verb)?, topic, "")
        }
        [Some("gate"), Some(id), None, ..] => (&[Route::DeleteGate], id, ""),
        [Some("gate"), Some(id), Some(verb), None, ..] => (routes_of_gate(verb)?, id, ""),
        [Some("gate"), Some(id), Some("ticket"), Some(owner), None, _] => {
            (&[Route::GateTicket], id, owner)
        }
        [Some("api"), Some("v1"), Some("actions"), Some(id), Some("queue-stats"), None] => {
            (&[Route::ActionStats], id, "")
        }
        [Some("worker"), Some(id), None, ..] => (&[Route::Worker, Route::DeleteWorker], id, ""),
        [Some("worker"), Some(id), Some("heartbeat"), None, ..] => (&[Route::Heartbeat], id, ""),
        [Some("worker"), Some(id), Some("deregister"), None, ..] => (&[Route::Deregister], id, ""),
        [Some("workers"), None, ..] => (&[Route::Workers], "", ""),
        [Some("queues"), None, ..] => (&[Route::Queues], "", ""),
        [Some("health"), None, ..] => (&[Route::Health], "", ""),
        [Some("health"), Some("live"), None, ..] => (&[Route::Live], "", ""),
        [Some("health"), Some("ready"), None, ..] => (&[Route::Ready], "", ""),
        [Some("metrics"), None, ..] => (&[Route::Metrics], "", ""),
        [Some("openapi.json"), None, ..] => (&[Route::OpenApi], "", ""),
        [Some("version"), None, ..] => (&[Route::Version], "", ""),
        _ => return None,
    };
    Some((routes, id, message))
}

fn routes_of_verb(verb: &str) -> Option<&'static [Route]> {
    Some(match verb {
        "push" => &[Route::Push],
        "pop" => &[Route::Pop],
        "lease" => &[Route::Lease],
        "ack" => &[Route::Ack],
        "nack" => &[Route::Nack],
        "extend" => &[Route::Extend],
        "dead-letter" => &[Route::DeadLetter],
        "redrive" => &[Route::Redrive],
        "peek" => &[Route::Peek],
        "purge" => &[Route::Purge],
        "pause" => &[Route::Pause],
        "resume" => &[Route::Resume],
        "config" => &[Route::Config, Route::Configure, Route::ChangeConfig],
        "stats" => &[Route::Stats],
        "consume" => &[Route::Consume],
        "sink" => &[Route::Sink, Route::SetSink, Route::ChangeSink, Route::RemoveSink],
        _ => return None,
    })
}

fn routes_of_stream_verb(verb: &str) -> Option<&'static [Route]> {
    Some(match verb {
        "publish" => &[Route::Publish],
        "config" => &[Route::StreamConfig, Route::StreamConfigure, Route::StreamChangeConfig],
        "stats" => &[Route::StreamStats],
        _ => return None,
    })
}

fn routes_of_gate(verb: &str) -> Option<&'static [Route]> {
    Some(match verb {
        "acquire" => &[Route::GateAcquire],
        "release" => &[Route::GateRelease],
        "cancel" => &[Route::GateCancel],
        "extend" => &[Route::GateExtend],
        "stats" => &[Route::GateStats],
        "policy" => &[
            Route::GatePolicy,
            Route::GateSetPolicy,
            Route::GateChangePolicy,
            Route::GateDropPolicy,
        ],
        "pause" => &[Route::GatePause],
        "resume" => &[Route::GateResume],
        _ => return None,
    })
}

/// What an `Allow` header says.
fn methods(routes: &[Route]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for route in routes {
        match route.template().0 {
            Method::GET => names.extend(["GET", "HEAD"]),
            Method::POST => names.push("POST"),
            Method::PUT => names.push("PUT"),
            Method::PATCH => names.push("PATCH"),
            _ => names.push("DELETE"),
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_at_its_own_path() {
        for (place, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, place, "{route:?} is out of order");
            let (method, template) = route.template();
            let path = template.replace("{id}", "q").replace("{topic}", "q");
            let path = path.replace("{mid}", "m").replace("{owner}", "m");
            let found = find(&method, &path).expect("its own path");
            assert_eq!(found.route, route);
            let has_id = template.contains("{id}") || template.contains("{topic}");
            assert_eq!((found.id == "q", found.id_names().is_some()), (has_id, has_id));
            let has_more = template.contains("{mid}") || template.contains("{owner}");
            assert_eq!(found.message == "m", has_more);
        }
    }

    #[test]
    fn a_head_finds_what_a_get_finds() {
        assert_eq!(find(&Method::HEAD, "/health").map(|found| found.route), Ok(Route::Health));
        assert_eq!(find(&Method::HEAD, "/queue/q/pop"), Err(Missing::Method("POST".into())));
    }

    #[test]
    fn an_unknown_path_is_told_from_an_unknown_method() {
        for path in ["", "/", "/queue", "/gate", "/queue/q/reserve", "/queue/q/push/", "/queues/"] {
            assert_eq!(find(&Method::GET, path), Err(Missing::Path), "{path}");
        }
        let at = |path| find(&Method::TRACE, path);
        assert_eq!(at("/queue/q/config"), Err(Missing::Method("GET, HEAD, PUT, PATCH".into())));
        assert_eq!(at("/queue/q/message/m/promote"), Err(Missing::Method("POST".into())));
    }
}
