"""Which ways out a house has for notifications, from its settings; without any, they go into the log alone."""

from app.settings import Settings
from app.signing import keep
from domain.notifying import EMAIL, SMS, WEB_PUSH
from services.channels.channel import Channel, Channels
from services.channels.log import only_log
from services.channels.resting import Resting
from services.channels.sms import BodyForm, SmsChannel
from services.channels.smtp import SmtpChannel, SmtpServer
from services.channels.web_push import VapidKey, WebPushChannel
from services.posting import Poster

FILE = "vapid-key"


def channels(settings: Settings, poster: Poster) -> Channels:
    """Return the channels that are on."""
    on: dict[str, Channel] = {}
    push_key = None
    if settings.smtp_url is not None and settings.smtp_sender is not None:
        server = SmtpServer.of(settings.smtp_url.get_secret_value())
        on[EMAIL] = Resting(SmtpChannel(server, settings.smtp_sender))
    if settings.sms_url is not None:
        secret = settings.sms_authorization
        gateway = SmsChannel(
            poster,
            settings.sms_url.get_secret_value(),
            BodyForm(settings.sms_body),
            None if secret is None else secret.get_secret_value(),
        )
        on[SMS] = Resting(gateway)
    if settings.web_push_contact is not None:
        key = _vapid_key(settings)
        on[WEB_PUSH] = WebPushChannel(poster, key, settings.web_push_contact)
        push_key = key.public
    return Channels(on, push_key) if on else only_log()


def _vapid_key(settings: Settings) -> VapidKey:
    """Return the key of the settings or, on a data directory, the one in its file, drawn when first wanted."""
    if settings.vapid_key is not None:
        return VapidKey(settings.vapid_key.get_secret_value().encode())
    path = settings.data_dir / FILE
    if not path.exists():
        keep(path, VapidKey.new())
    return VapidKey(path.read_bytes())
