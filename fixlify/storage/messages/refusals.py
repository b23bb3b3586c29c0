"""What a message's recipient does not want: the SQL that says it, for every way to an address."""

from __future__ import annotations

from typing import Final

_OPT_OUTS: Final = """
    client_opt_outs o
    WHERE o.organization_id = {client}.organization_id AND o.client_id = {client}.id
      AND o.channel = m.channel AND coalesce(o.message_class, m.message_class) = m.message_class
"""

# The columns speak for the whole channel. A consent that nobody recorded is none.
_OF_THE_CLIENT: Final = f"""
    SELECT CASE WHEN CASE m.channel WHEN 'email' THEN coalesce(c.email_opted_out, true)
                                    ELSE coalesce(c.sms_opted_out, true) END
           THEN 'the client opted out of ' || m.channel
           ELSE (SELECT 'the client opted out of ' || concat_ws(' ', o.message_class, m.channel)
                 FROM {_OPT_OUTS.format(client="c")}
                 ORDER BY o.message_class NULLS FIRST LIMIT 1) END
    WHERE m.recipient_kind = 'client'
"""  # noqa: S608 - constants

# Whoever has the same address wants it as little: entered twice, or written to by a field or by
# the automation. Staff are written to as staff. The index finds phones by their last digits; a
# phone as people write it has its country's code, or zeros in its place, or neither.
_DIGITS: Final = "regexp_replace({phone}, '[^0-9]', '', 'g')"
_THEIRS: Final = _DIGITS.format(phone="k.phone")
_ITS: Final = _DIGITS.format(phone="m.recipient")
_SAME_EMAIL: Final = "lower(k.email) = lower(m.recipient)"
_SAME_PHONE: Final = f"""
    right({_THEIRS}, 9) = right({_ITS}, 9)
    AND right({_ITS}, length(ltrim({_THEIRS}, '0'))) = ltrim({_THEIRS}, '0')
"""


def _of_the_address(channel: str, same_address: str) -> str:
    return f"""
        SELECT 'a client of that address opted out of {channel}'
        FROM clients k
        WHERE m.channel = '{channel}' AND m.recipient_kind IN ('client', 'field', 'address')
          AND k.organization_id = m.organization_id AND {same_address}
          AND (k.{channel}_opted_out OR EXISTS (SELECT FROM {_OPT_OUTS.format(client="k")}))
        LIMIT 1
    """  # noqa: S608 - constants


_OF_ANYBODY: Final = """
    SELECT 'the address is suppressed: ' || s.reason FROM suppressions s
    WHERE s.organization_id = m.organization_id AND s.channel = m.channel
      AND s.address = CASE m.channel WHEN 'email' THEN lower(m.recipient) ELSE m.recipient END
"""

REFUSAL: Final = f"""
    coalesce(({_OF_THE_CLIENT}), ({_OF_ANYBODY}),
             ({_of_the_address("email", _SAME_EMAIL)}), ({_of_the_address("sms", _SAME_PHONE)}))
"""
"""Why nothing of this kind may go to the message ``m`` of the client ``c``; null where it may."""
