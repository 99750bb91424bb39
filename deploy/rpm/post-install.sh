# Makes the folders that the service works with. It reads models, and cannot change them.
if [ ! -d /var/lib/onnx-gateway ]; then
    install --directory --mode=0750 --owner=onnx-gateway --group=onnx-gateway /var/lib/onnx-gateway
fi
if [ ! -d /var/lib/onnx-gateway/models ]; then
    install --directory --mode=0755 /var/lib/onnx-gateway/models
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
