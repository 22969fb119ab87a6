"""The vendor's error envelope and the codes this venue answers with."""

from __future__ import annotations

from typing import Any

from aiohttp import web


class ApiError(Exception):
    """Answered as the documented envelope. `correlation_id` belongs to one order of a multi-order request."""

    def __init__(self, status: int, code: str, message: str, *, path: str | None = None, value: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = path
        self.value = value

    def entry(self) -> dict[str, Any]:
        """Snake case and its deprecated camelCase twin, as recorded answers have both."""
        return {
            "errorCode": self.code,
            "message": self.message,
            "propertyPath": self.path,
            "invalidValue": self.value,
            "error_code": self.code,
            "property_path": self.path,
            "invalid_value": self.value,
        }

    def response(self) -> web.Response:
        return web.json_response({"status": "error", "errors": [self.entry()]}, status=self.status)


_MESSAGES = {
    "UDAPI100050": (401, "Invalid token used to access API"),
    "UDAPI100067": (401, "The API you are trying to access is not permitted with an extended_token"),
    "UDAPI100016": (401, "Invalid Credentials"),
    "UDAPI100073": (401, "Your 'client_id' is inactive"),
    "UDAPI10005": (429, "Too Many Request Sent"),
    "UDAPI10000": (404, "This request is not supported by Upstox API"),
    "UDAPI100060": (404, "Resource not Found."),
    "UDAPI100036": (400, "Invalid Input"),
    "UDAPI100500": (500, "Something went wrong... please contact us"),
    "UDAPI1154": (403, "Access to this API is blocked due to static IP restrictions."),
    "UDAPI1156": (403, "The algo name in the header is invalid"),
    "UDAPI100072": (423, "The Funds service is accessible from 5:30 AM to 12:00 AM IST daily"),
    "UDAPI100074": (423, "The Place and Modify order API's are accessible from 5:30 AM to 12:00 AM IST"),
    "UDAPI100011": (400, "Invalid Instrument key"),
    "UDAPI100042": (400, "The maximum number of instrument keys that can be requested has been exceeded"),
    "UDAPI1009": (400, "The instrument_key is required"),
    "UDAPI1087": (400, "One of either symbol or instrument_key is invalid"),
    "UDAPI1021": (400, "Instrument key is of invalid format"),
    "UDAPI1015": (400, "to_date must be greater than or equal to from_date and Date should be in valid format: yyyy-mm-dd"),
    "UDAPI1088": (400, "Date should be in valid format: yyyy-mm-dd"),
    "UDAPI1146": (400, "Invalid unit"),
    "UDAPI1147": (400, "Invalid interval"),
    "UDAPI1148": (400, "Invalid date range"),
    "UDAPI1020": (400, "Interval accepts one of (1d|I1|I30)"),
    "UDAPI1149": (403, "This API is available exclusively with an Upstox Plus plan subscription"),
    "UDAPI1003": (400, "Order id is required"),
    "UDAPI1023": (400, "Order id is required"),
    "UDAPI1004": (400, "Valid order type is required"),
    "UDAPI1007": (400, "Validity is required"),
    "UDAPI1008": (400, "Price is required"),
    "UDAPI1026": (400, "Instrument key is required"),
    "UDAPI1036": (400, "Trigger price is required"),
    "UDAPI1052": (400, "The order quantity cannot be zero"),
    "UDAPI1054": (400, "The 'product' is invalid"),
    "UDAPI1055": (400, "The 'validity' is invalid"),
    "UDAPI1056": (400, "The 'order_type' is invalid"),
    "UDAPI1057": (400, "The 'transaction_type' is invalid"),
    "UDAPI1040": (400, "Price not required"),
    "UDAPI1113": (400, "The Exit Positions API is accessible during the market hours only."),
    "UDAPI1118": (400, "The maximum number of orders that can be placed with slicing is 25"),
    "UDAPI1119": (400, "The tag cannot be longer than 40 characters"),
    "UDAPI1158": (400, "Market orders are not allowed. Try placing a limit order."),
    "UDAPI1159": (400, "Market Protection cannot be greater than 25%"),
    "UDAPI1160": (400, "Invalid market protection"),
    "UDAPI100010": (400, "Order not found"),
    "UDAPI100040": (400, "Cancel of already cancelled/rejected/completed order is not allowed"),
    "UDAPI100041": (400, "Modifications of already cancelled/rejected/completed orders are not allowed"),
    "UDAPI1126": (400, "The GTT 'type' is invalid"),
    "UDAPI1130": (400, "The rules of a GTT order are invalid"),
    "UDAPI1150": (400, "Only the IMMEDIATE trigger type is allowed for this rule"),
    "UDAPI1145": (400, "GTT order not found"),
    "UDAPI1184": (400, "The kill switch cannot be changed while positions are open"),
    "UDAPI1185": (400, "The segment is in its cooling period of 12 hours"),
    "UDAPI1186": (400, "Invalid segment"),
    "UDAPI1188": (400, "Invalid action"),
}
"""Code -> usual HTTP status and message. Statuses of 423 and 403 are partly [U]."""


def refusal(code: str, message: str | None = None, *, path: str | None = None, value: object = None, status: int | None = None) -> ApiError:
    usual_status, usual_message = _MESSAGES[code]
    return ApiError(status or usual_status, code, message or usual_message, path=path, value=value)
