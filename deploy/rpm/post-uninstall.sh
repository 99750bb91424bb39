# After an update, a service that runs is restarted with the new version. After a removal, empty folders go: the package
# lists files alone.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    if [ "$1" != 0 ]; then systemctl try-restart onnx-gateway || true; fi
fi
if [ "$1" = 0 ]; then
    rmdir --ignore-fail-on-non-empty /usr/lib/onnx-gateway /usr/share/doc/onnx-gateway/onnxruntime \
        /usr/share/doc/onnx-gateway /etc/onnx-gateway /var/lib/onnx-gateway/models /var/lib/onnx-gateway 2>/dev/null || true
fi
