import base64

import pytest

from app.deployers import signature


def test_the_example_of_the_specification_is_signed_alike() -> None:
    headers = signature.headers(
        key=signature.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(signature.SigningKeyError, match="24 to 64"):
        signature.key_of(f"whsec_{base64.b64encode(bytes(size)).decode()}")


@pytest.mark.parametrize("text", ["", "planted", "whsec_pl@nted", "MfKQ9r8GKYqrTwjUPD8ILPZI"])
def test_a_text_that_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(signature.SigningKeyError) as refused:
        signature.key_of(text)

    assert not text or text not in str(refused.value)
    assert refused.value.__cause__ is None
