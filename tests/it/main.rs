//! The tests from outside: over the listeners, by the commands, and through the public functions of the library.
//!
//! They are one binary, so that the gateway is linked once. `cargo nextest` runs each test in a process of its own. Under
//! `cargo test` they share one and have to run one at a time (`--test-threads 1`): `memory` measures the process, and
//! `repository` looks at its children.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod access_log;
mod api_keys;
mod architecture;
mod audit;
mod batching;
mod binary;
mod bodies;
mod chaos;
mod circles;
mod classes;
mod command_line;
mod commands;
mod compatibility;
mod config_schema;
mod connections;
mod console;
mod contained;
mod cors;
mod dialects;
mod doc_lines;
mod documents;
mod events;
mod fast_path;
mod flat_rows;
mod follow;
mod fuzz;
mod graph_facts;
mod grpc;
mod grpc_calls;
mod grpc_fast_path;
mod grpc_mutations;
mod http;
mod init;
mod installation;
mod instances;
mod issuers;
mod keys;
mod kinds;
mod large_requests;
mod limits;
mod mcp;
mod memory;
mod model_schemas;
mod mutations;
mod open_inference;
mod openapi;
mod operations;
mod permissions;
mod predict;
mod predict_command;
mod properties;
mod quotas;
mod reload;
mod repository;
mod revocation;
mod rollback;
mod row_outputs;
mod rows_writer;
mod sandbox;
mod schedule;
mod scheduling;
mod score_command;
mod serve_files;
mod settings;
mod state;
mod support;
mod swap;
mod tls;
mod tls_commands;
mod tokens;
mod unix_sockets;
