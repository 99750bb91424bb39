//! Examples below the help of each command.

/// Examples of the program.
pub(super) const PROGRAM: &str = "\
Examples:
  onnx-gateway serve model.onnx                  serve one file, with a token and a request to paste
  onnx-gateway init model.onnx                   write settings with keys for others to use
  onnx-gateway check --config gateway.toml       show settings and models as they would be served
  onnx-gateway --config gateway.toml             serve";

/// Examples of `serve`.
pub(super) const SERVE: &str = "\
Examples:
  onnx-gateway serve wine.onnx                   one model, for development
  onnx-gateway serve wine.onnx rose.onnx         several
  onnx-gateway serve models/                     a repository: NAME/1/model.onnx or NAME.onnx
  onnx-gateway serve --config gateway.toml       the repository that the settings name
  GATEWAY__SERVER__LISTEN=127.0.0.1:9000 onnx-gateway serve wine.onnx
                                                 on another port";

/// Examples of `init`.
pub(super) const INIT: &str = "\
Examples:
  onnx-gateway init                              gateway.toml and secrets/ here, for a folder of models
  onnx-gateway init wine.onnx                    for one file, with wine.toml beside it
  onnx-gateway init --directory /etc/gateway models/iris/1/model.onnx
  onnx-gateway init --force wine.onnx            again, with fresh secrets";

/// Examples of `check`.
pub(super) const CHECK: &str = "\
Examples:
  onnx-gateway check --config gateway.toml
  onnx-gateway check --config gateway.toml --verbose
  onnx-gateway check --config gateway.toml --json | jq .problems";

/// Examples of `inspect`.
pub(super) const INSPECT: &str = "\
Examples:
  onnx-gateway inspect wine.onnx
  onnx-gateway inspect wine.onnx --json | jq .proof.signature";

/// Examples of `diff`.
pub(super) const DIFF: &str = "\
Examples:
  onnx-gateway diff models/iris/1/model.onnx retrained.onnx
  onnx-gateway diff old.onnx new.onnx --json || echo \"exit status $?\"";

/// Examples of `verify`.
pub(super) const VERIFY: &str = "\
Examples:
  onnx-gateway verify wine.onnx
  onnx-gateway verify retrained.onnx --against models/iris/1/model.onnx
  onnx-gateway verify wine.onnx --model-toml wine.toml --json";

/// Examples of `rollback`.
pub(super) const ROLLBACK: &str = "\
Examples:
  onnx-gateway rollback iris --config gateway.toml
  onnx-gateway rollback iris --url http://127.0.0.1:8000 --token \"$TOKEN\"";

/// Examples of `revoke`.
pub(super) const REVOKE: &str = "\
Examples:
  onnx-gateway revoke --subject shop --config gateway.toml
  onnx-gateway revoke --stdin --url https://models.example.org --token \"$TOKEN\" < leaked.jwt";

/// Examples of `predict`.
pub(super) const PREDICT: &str = "\
Examples:
  onnx-gateway predict iris.onnx --input '{\"features\": [5.1, 3.5, 1.4, 0.2]}'
  onnx-gateway predict iris.onnx --input @request.json --json
  echo '{\"inputs\": {\"x\": [[1, 2]]}}' | onnx-gateway predict model.onnx --input -";

/// Examples of `openapi`.
pub(super) const OPENAPI: &str = "\
Examples:
  onnx-gateway openapi --config gateway.toml > openapi.json
  onnx-gateway openapi wine.onnx                 of one model, before it is served
  onnx-gateway openapi models/ --json | jq '.components.schemas[\"iris.Features\"]'";

/// Examples of `token`.
pub(super) const TOKEN: &str = "\
Examples:
  onnx-gateway token --config gateway.toml --subject alice --scope 'predict:iris read'
  TOKEN=$(onnx-gateway token --config gateway.toml --subject ci --scope manage --lifetime-seconds 600)";

/// Examples of `api-key`.
pub(super) const API_KEY: &str = "\
Examples:
  onnx-gateway api-key shop --scope 'predict:iris read' >> gateway.toml      the key is on the terminal only
  onnx-gateway api-key ci --scope manage --expires 2027-12-31 --json";

/// Examples of `hash-secret`.
pub(super) const HASH_SECRET: &str = "\
Examples:
  onnx-gateway hash-secret                       type the secret; it is not shown
  openssl rand -hex 16 | tee secret | onnx-gateway hash-secret > secret-hash";

/// Examples of `config-schema`.
pub(super) const CONFIG_SCHEMA: &str = "\
Examples:
  onnx-gateway config-schema > gateway.schema.json
  onnx-gateway config-schema --model > model.schema.json

An editor with Taplo (Even Better TOML) uses it after this first line of gateway.toml:
  #:schema ./gateway.schema.json";

/// Examples of `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  source <(onnx-gateway completions bash)        in this shell
  onnx-gateway completions zsh > ~/.zfunc/_onnx-gateway
  onnx-gateway completions fish > ~/.config/fish/completions/onnx-gateway.fish";

/// Examples of `man`.
pub(super) const MAN: &str = "\
Examples:
  onnx-gateway man | man -l -
  onnx-gateway man serve > onnx-gateway-serve.1";

/// Examples of `health`.
pub(super) const HEALTH: &str = "\
Examples:
  onnx-gateway health --config gateway.toml
  onnx-gateway health --certificate-file probe.crt --private-key-file probe.key
  HEALTHCHECK CMD [\"onnx-gateway\", \"health\"]    in a Dockerfile";

/// Examples of `score`.
pub(super) const SCORE: &str = "\
Examples:
  onnx-gateway score wine.onnx --input rows.csv --output scores.csv
  onnx-gateway score wine.onnx --input rows.parquet --output scores.parquet
  onnx-gateway score wine --url http://127.0.0.1:8000 --token-file token --input rows.csv --output scores.csv";
