"""TVT and its many names (Viewtron): XML of a camera (v1) or of a recorder (v2), and keep-alives that want an answer.

Pure. Shapes: `v1` gives microseconds, `v1-text` the local clock as `MM-DD-YYYY hh:mm:ss AM/PM`, `v1-garbage` twenty
digits that are no time, `v2` a recorder's other tree.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, Truth, b64, epoch_ms, plate_of, truth

XML = "application/xml"
NAMESPACE = "http://www.ipc.com/ver10"
GARBAGE_TIME = "18446744073709551615"


def push(mount: Mount, what: Event) -> Telling:
    body = _v2(mount, what) if mount.shape == "v2" else _v1(mount, what)
    return Telling(what.uuid, (Message(body.encode(), XML),), _truth(mount, what))


def life(mount: Mount, at: datetime) -> Message:
    """Its element `DeviceNo.` has a full stop in its name."""
    del at
    device = mount.device
    if mount.shape == "v2":
        body = f"""<?xml version="1.0" encoding="UTF-8"?>
<config version="2.0.0" xmlns="{NAMESPACE}">
    <messageType>keepalive</messageType>
    {_v2_device(mount)}
</config>
"""
    else:
        body = f"""<?xml version="1.0" encoding="UTF-8"?>
<DeviceInfo>
    <DeviceName>Device Name</DeviceName>
    <DeviceNo.>1</DeviceNo.>
    <SN><![CDATA[NF40D099BCM0]]></SN>
    <ipAddress>{device.address}</ipAddress>
    <macAddress>{device.mac}</macAddress>
</DeviceInfo>
"""
    return Message(body.encode(), XML)


def _truth(mount: Mount, what: Event) -> Truth:
    """Version 1 tells neither direction nor confidence; nor does the recorder in this form."""
    unsaid: dict[str, Any] = {"direction": None, "confidence": None}
    if mount.shape == "v1-garbage":
        unsaid["at_ms"] = None
    within_ms = 1000 if mount.shape == "v1-text" else 1
    return truth(what, 2 if what.vehicle.readable else 1, within_ms=within_ms, **unsaid)


def _time(mount: Mount, at: datetime) -> str:
    if mount.shape == "v1-text":
        return at.strftime("%m-%d-%Y %I:%M:%S %p")
    if mount.shape == "v1-garbage":
        return GARBAGE_TIME
    return str(epoch_ms(at) * 1000)


def _target(picture: bytes, width: int, height: int) -> str:
    data = b64(picture)
    return f"""<targetImageData>
                <dataType type="uint32">0</dataType>
                <targetType type="uint32">2</targetType>
                <Width type="tuint32">{width}</Width>
                <Height type="tuint32">{height}</Height>
                <targetBase64Length type="uint32">{len(data)}</targetBase64Length>
                <targetBase64Data type="string"><![CDATA[{data}]]></targetBase64Data>
            </targetImageData>"""


def _v1(mount: Mount, what: Event) -> str:
    plate = plate_of(what)
    width, height = what.pictures.size_px
    item = f"""
        <item>
            <plateNumber type="string"><![CDATA[{plate or ""}]]></plateNumber>
            {_target(what.pictures.plate, 200, 60) if plate else ""}
        </item>"""
    smart = "VEHICLE" if what.vehicle.paint % 2 else "VEHICE"  # both spellings are about
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<config version="1.7" xmlns="{NAMESPACE}">
    <smartType type="openAlramObj">{smart}</smartType>
    <subscribeRelation type="subscribeOption">FEATURE_RESULT</subscribeRelation>
    <currentTime type="tint64">{_time(mount, what.captured_at)}</currentTime>
    <mac type="string"><![CDATA[{mount.device.mac}]]></mac>
    <types>
        <openAlramObj type="string">VEHICE,VFD_MATCH,PEA,VFD,VSD</openAlramObj>
        <targetType type="string">1,2,4</targetType>
    </types>
    <listInfo type="list" count="2">
        <item>
            {_target(what.pictures.overview, width, height)}
        </item>{item}
    </listInfo>
</config>
"""


def _v2(mount: Mount, what: Event) -> str:
    plate = plate_of(what) or "&lt;NO PLATE&gt;"
    width, height = what.pictures.size_px
    crop = _target(what.pictures.plate, 200, 60) if what.vehicle.readable else ""
    scene = b64(what.pictures.overview)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<config version="2.0.0" xmlns="{NAMESPACE}">
    <messageType>alarmData</messageType>
    {_v2_device(mount, channel="<channelId>1</channelId>")}
    <smartType>vehicle</smartType>
    <currentTime>{epoch_ms(what.captured_at) * 1000}</currentTime>
    <licensePlateListInfo>
        <item>
            <licensePlateAttribute>
                <licensePlateNumber>{plate}</licensePlateNumber>
                <color>white</color>
            </licensePlateAttribute>
            <carRect><x1>1</x1><y1>0</y1><x2>1</x2><y2>0</y2></carRect>
            {crop}
        </item>
    </licensePlateListInfo>
    <sourceDataInfo>
        <dataType>0</dataType>
        <width>{width}</width>
        <height>{height}</height>
        <sourceBase64Length>{len(scene)}</sourceBase64Length>
        <sourceBase64Data><![CDATA[{scene}]]></sourceBase64Data>
    </sourceDataInfo>
</config>
"""


def _v2_device(mount: Mount, channel: str = "") -> str:
    device = mount.device
    return f"""<deviceInfo>
        <deviceName><![CDATA[{device.name}]]></deviceName>
        <ip><![CDATA[{device.address}]]></ip>
        <mac><![CDATA[{device.mac}]]></mac>{channel}
    </deviceInfo>"""


def alarm(mount: Mount, at: datetime) -> Message:
    """An alarm's state, without a plate and with the time written out."""
    device = mount.device
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
<config version="1.7" xmlns="{NAMESPACE}">
    <alarmStatusInfo>
        <vehiceAlarm type="boolean" id="1">true</vehiceAlarm>
    </alarmStatusInfo>
    <dataTime><![CDATA[{at:%m-%d-%Y %I:%M:%S %p}]]></dataTime>
    <deviceInfo>
        <deviceName><![CDATA[{device.name}]]></deviceName>
        <deviceNo.><![CDATA[1]]></deviceNo.>
        <sn><![CDATA[I84BB0A8D59C]]></sn>
        <ipAddress><![CDATA[{device.address}]]></ipAddress>
        <macAddress><![CDATA[{device.mac}]]></macAddress>
    </deviceInfo>
</config>
"""
    return Message(body.encode(), XML)
