"""SOAP login, for clients that still use it: open this when simple-salesforce or jsforce cannot log in with a password.

The order of the elements is that of the WSDL, and the result's tags carry no prefix: clients read them by position and
by regular expression.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .auth import WRONG, Sessions
from .org import ORG_ID

_PARTNER = "{urn:partner.soap.sforce.com}"
_REFUSED = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."


def login(sessions: Sessions, body: bytes, version: str, origin: str) -> tuple[int, str]:
    """HTTP status and envelope for one login request."""
    try:
        envelope = ElementTree.fromstring(body)  # noqa: S314  The simulator serves its own machine.
    except ElementTree.ParseError:
        return 500, _fault("INVALID_LOGIN", _REFUSED)
    username = (envelope.findtext(f".//{_PARTNER}username") or "").strip()
    password = (envelope.findtext(f".//{_PARTNER}password") or "").strip()
    if not username or not password or password.startswith(WRONG):
        return 500, _fault("INVALID_LOGIN", _REFUSED)
    user_id = sessions.users.named(username)
    return 200, _success(sessions.open(user_id), user_id, username, version, origin)


def _fault(code: str, text: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{text}</faultstring>
<detail><sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>
<sf:exceptionMessage>{text.partition(": ")[2]}</sf:exceptionMessage></sf:LoginFault></detail>
</soapenv:Fault></soapenv:Body></soapenv:Envelope>"""


def _success(token: str, user_id: str, username: str, version: str, origin: str) -> str:
    name, services = escape(username), f"{escape(origin)}/services/Soap"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse><result>
<metadataServerUrl>{services}/m/{version}/{ORG_ID[:15]}</metadataServerUrl>
<passwordExpired>false</passwordExpired>
<sandbox>true</sandbox>
<serverUrl>{services}/u/{version}/{ORG_ID[:15]}</serverUrl>
<sessionId>{token}</sessionId>
<userId>{user_id}</userId>
<userInfo>
<accessibilityMode>false</accessibilityMode>
<chatterExternal>false</chatterExternal>
<currencySymbol xsi:nil="true"/>
<orgAttachmentFileSizeLimit>5242880</orgAttachmentFileSizeLimit>
<orgDefaultCurrencyIsoCode xsi:nil="true"/>
<orgDefaultCurrencyLocale xsi:nil="true"/>
<orgDisallowHtmlAttachments>false</orgDisallowHtmlAttachments>
<orgHasPersonAccounts>false</orgHasPersonAccounts>
<organizationId>{ORG_ID}</organizationId>
<organizationMultiCurrency>true</organizationMultiCurrency>
<organizationName>Simulator Org</organizationName>
<profileId>00eSm0000000001AAA</profileId>
<roleId xsi:nil="true"/>
<sessionSecondsValid>7200</sessionSecondsValid>
<userDefaultCurrencyIsoCode>USD</userDefaultCurrencyIsoCode>
<userEmail>{name}</userEmail>
<userFullName>{name}</userFullName>
<userId>{user_id}</userId>
<userLanguage>en_US</userLanguage>
<userLocale>en_US</userLocale>
<userName>{name}</userName>
<userTimeZone>GMT</userTimeZone>
<userType>Standard</userType>
<userUiSkin>Theme3</userUiSkin>
</userInfo>
</result></loginResponse></soapenv:Body></soapenv:Envelope>"""
