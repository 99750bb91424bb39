"""The Open Inference Protocol over gRPC, with the messages of Triton's client."""

from __future__ import annotations

from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from .cases import Case
from .protocols import Rows, by_rows, of_tensor
from .values import content, elements

TIMEOUT_SECONDS = 30


class Channel:
    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def begin(self, case: Case, first: int, end: int) -> Any:
        """A call whose answer is not waited for."""
        message = service_pb2.ModelInferRequest(model_name=case.name)
        for given in case.inputs:
            part = given.rows[first:end]
            message.inputs.add(name=given.name, datatype=given.datatype, shape=part.shape)
            message.raw_input_contents.append(content(part))
        return self.stub.ModelInfer.future(message, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self.channel.close()


def read(case: Case, answer: Any, count: int) -> Rows:
    outputs = {}
    for output, blob in zip(answer.outputs, answer.raw_output_contents, strict=True):
        data = elements(output.datatype, blob)
        outputs[output.name] = of_tensor(case, output.name, list(output.shape), data, count)
    return by_rows(outputs, count)
