# Stops the service for good, unless this is an update ($1: how many versions remain).
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then systemctl --no-warn disable --now onnx-gateway || true; fi
