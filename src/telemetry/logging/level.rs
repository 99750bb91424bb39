//! The level of access lines, and what `log.level` says of it.

use tracing_core::{
    Kind, Level, Metadata, callsite::DefaultCallsite, dispatcher, field::FieldSet, identify_callsite,
};

/// The target of access lines, which directives of `log.level` can name.
macro_rules! access_target {
    () => {
        "onnx_gateway::access"
    };
}
pub(super) use access_target;

/// The fields of a line, which directives can name, too: `onnx_gateway::access[{grpc.status}]=info`.
const FIELDS: &[&str] = &[
    "message",
    "method",
    "path",
    "status",
    "grpc.status",
    "duration_us",
    "peer",
    "caller.subject",
    "caller.kind",
    "model.version",
    "model.digest",
    "request.id",
];

/// The level of an access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLevel {
    /// With the access log on.
    Info,
    /// With the access log off.
    Debug,
}

/// Makes a place in the code, as `tracing` knows it, from which events of a level could come.
macro_rules! callsite {
    ($name:ident, $metadata:ident, $level:expr) => {
        static $name: DefaultCallsite = DefaultCallsite::new(&$metadata);
        static $metadata: Metadata<'static> = Metadata::new(
            "access line",
            access_target!(),
            $level,
            Some(file!()),
            Some(line!()),
            Some(module_path!()),
            FieldSet::new(FIELDS, identify_callsite!(&$name)),
            Kind::EVENT,
        );
    };
}

callsite!(INFO, INFO_METADATA, Level::INFO);
callsite!(DEBUG, DEBUG_METADATA, Level::DEBUG);

impl AccessLevel {
    /// Returns true if `log.level` lets lines of this level through.
    ///
    /// `tracing` keeps the result until the level changes, so this is one atomic load, unless directives name spans.
    /// `tracing::event_enabled!` would go through the directives each time.
    #[must_use]
    pub fn is_enabled(self) -> bool {
        let (callsite, metadata) = match self {
            Self::Info => (&INFO, &INFO_METADATA),
            Self::Debug => (&DEBUG, &DEBUG_METADATA),
        };
        let interest = callsite.interest();
        interest.is_always()
            || (interest.is_sometimes() && dispatcher::get_default(|dispatch| dispatch.enabled(metadata)))
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing_subscriber::{EnvFilter, layer::SubscriberExt};

    use super::*;

    #[test]
    fn directives_decide_as_they_do_for_events() {
        for (directives, info, debug) in [
            ("info", true, false),
            ("warn", false, false),
            ("debug", true, true),
            ("info,onnx_gateway::access=off", false, false),
            ("warn,onnx_gateway::access=info", true, false),
            ("off,onnx_gateway::access=debug", true, true),
            ("info,onnx_gateway::edge=debug", true, false),
            ("warn,onnx_gateway::access[{grpc.status}]=info", true, false),
            ("warn,onnx_gateway::access[{no.such}]=info", false, false),
            ("warn,[request]=info", false, false),
        ] {
            let registry = tracing_subscriber::registry().with(EnvFilter::new(directives));
            with_default(registry, || {
                let enabled = [AccessLevel::Info.is_enabled(), AccessLevel::Debug.is_enabled()];
                assert_eq!(enabled, [info, debug], "{directives}");
                // Within a span that a directive names, events of its level are let through.
                let within = tracing::error_span!("request").in_scope(|| AccessLevel::Info.is_enabled());
                assert_eq!(within, info || directives.contains("[request]"), "{directives}");
            });
        }
    }
}
