# Makes the user of the service, whom the files of the package may belong to.
if ! getent passwd onnx-gateway >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/onnx-gateway --shell /sbin/nologin onnx-gateway
fi
