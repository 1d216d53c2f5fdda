using System.Buffers.Binary;
using System.Net;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>What the inner end of a pair of interfaces is to be like.</summary>
/// <param name="Name">Its name in the namespace.</param>
/// <param name="MacAddress">Its hardware address: six bytes.</param>
/// <param name="Address">Its IPv4 address.</param>
/// <param name="PrefixLength">How many bits of that are the network's.</param>
/// <param name="Gateway">Where all else is sent; null: nowhere.</param>
public sealed record BridgePortSpec(string Name, byte[] MacAddress, IPAddress Address, int PrefixLength, IPAddress? Gateway);

/// <summary>
/// Puts a new network namespace on a bridge of this one: a pair of interfaces, one end in the bridge, the other with an address. Five messages to
/// the kernel (rtnetlink.7), where a program that does it for us takes thirty milliseconds.
/// </summary>
public static unsafe class BridgePort
{
    private const int AF_NETLINK = 16, SOCK_RAW = 3, SOCK_CLOEXEC = 0x80000, NETLINK_ROUTE = 0, AF_INET = 2;
    private const ushort RTM_NEWLINK = 16, RTM_NEWADDR = 20, RTM_NEWROUTE = 24, NLMSG_ERROR = 2;
    private const ushort NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_EXCL = 0x200, NLM_F_CREATE = 0x400;
    private const ushort IFLA_ADDRESS = 1, IFLA_IFNAME = 3, IFLA_MASTER = 10, IFLA_LINKINFO = 18, IFLA_NET_NS_FD = 28, IFLA_INFO_KIND = 1, IFLA_INFO_DATA = 2, VETH_INFO_PEER = 1;
    private const ushort IFA_ADDRESS = 1, IFA_LOCAL = 2, IFA_BROADCAST = 4, RTA_OIF = 4, RTA_GATEWAY = 5;
    private const uint IFF_UP = 1;
    private const byte RT_TABLE_MAIN = 254, RTPROT_STATIC = 4;
    private const int LoopbackIndex = 1;

    /// <summary>Makes a namespace on a bridge, its loopback up.</summary>
    /// <exception cref="LinuxException">ENODEV: there is no such bridge; EEXIST: the name is taken.</exception>
    public static SafeFileHandle CreateNamespace(string bridge, BridgePortSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        // Opened here: a socket stays in the namespace it was made in, whatever becomes of the thread that uses it.
        using SafeFileHandle outside = Open();
        uint master = IndexOf(bridge);
        return NetworkNamespace.Create(inside =>
        {
            MakePair(outside, master, spec, inside);
            using SafeFileHandle own = Open();
            uint index = IndexOf(spec.Name);
            Send(own, "(loopback)", new Message(RTM_NEWLINK, 0).Link(LoopbackIndex, IFF_UP));
            Send(own, spec.Name, new Message(RTM_NEWLINK, 0).Link((int)index, IFF_UP));
            Send(own, spec.Address.ToString(), new Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL).Address(spec, index));
            if (spec.Gateway is not null)
            {
                Send(own, spec.Gateway.ToString(), new Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL).Route(spec.Gateway, index));
            }
        });
    }

    // The kernel finds a free name for the outer end (veth%d), as nobody ever asks for it.
    private static void MakePair(SafeFileHandle outside, uint master, BridgePortSpec spec, SafeFileHandle inside)
    {
        Message message = new Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL).Link(0, IFF_UP).Attribute(IFLA_MASTER, master);
        message.Nest(IFLA_LINKINFO, info =>
        {
            info.Attribute(IFLA_INFO_KIND, "veth"u8);
            info.Nest(IFLA_INFO_DATA, data => data.Nest(VETH_INFO_PEER, peer =>
            {
                peer.Link(0, 0); // up later: while the pair is made neither end knows the other (veth.c: ENOTCONN)
                peer.Attribute(IFLA_IFNAME, [.. Encoding.ASCII.GetBytes(spec.Name), 0]);
                peer.Attribute(IFLA_ADDRESS, spec.MacAddress);
                peer.Attribute(IFLA_NET_NS_FD, (uint)inside.Fd());
            }));
        });
        Send(outside, spec.Name, message);
    }

    private static SafeFileHandle Open()
    {
        int fd = Native.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        return fd >= 0 ? fd.ToHandle() : throw Native.Failure("socket", "(netlink)");
    }

    private static uint IndexOf(string name)
    {
        fixed (byte* bytes = PathBytes.Of(name, "if_nametoindex"))
        {
            uint index = Native.if_nametoindex(bytes);
            return index != 0 ? index : throw Native.Failure("if_nametoindex", name);
        }
    }

    // The answer is an nlmsghdr with nlmsgerr behind it: 16 bytes, then the negative errno.
    private static void Send(SafeFileHandle socket, string what, Message message)
    {
        const int HeaderBytes = 16, AnswerBytes = 4096;
        ReadOnlySpan<byte> bytes = message.Finish();
        byte* answer = stackalloc byte[AnswerBytes];
        nint got;
        fixed (byte* start = bytes)
        {
            if (Native.write(socket.Fd(), start, bytes.Length) != bytes.Length)
            {
                throw Native.Failure("write", $"(netlink) {what}");
            }
            do
            {
                got = Native.read(socket.Fd(), answer, AnswerBytes);
            }
            while (got < 0 && Native.LastErrno is Errno.EINTR);
        }
        if (got < HeaderBytes + sizeof(int))
        {
            throw Native.Failure("read", $"(netlink) {what}");
        }
        var reply = new ReadOnlySpan<byte>(answer, (int)got);
        int error = BinaryPrimitives.ReadUInt16LittleEndian(reply[4..]) == NLMSG_ERROR ? -BinaryPrimitives.ReadInt32LittleEndian(reply[HeaderBytes..]) : (int)Errno.EINVAL;
        if (error != 0)
        {
            throw new LinuxException("netlink", what, (Errno)error);
        }
    }

    /// <summary>A message on its way: header, fixed part, attributes with their lengths, each begun at a multiple of four.</summary>
    private sealed class Message
    {
        private const int AttributeHeaderBytes = 4;
        private readonly List<byte> _bytes = [];

        internal Message(ushort type, ushort flags)
        {
            Add(0u); // its length, known at the end
            Add(type);
            Add((ushort)(flags | NLM_F_REQUEST | NLM_F_ACK));
            Add(1u); // number
            Add(0u); // to the kernel
        }

        internal ReadOnlySpan<byte> Finish()
        {
            byte[] bytes = [.. _bytes];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
            return bytes;
        }

        // struct ifinfomsg: family, padding, type, index, flags, which flags.
        internal Message Link(int index, uint flags)
        {
            Add(0u);
            Add((uint)index);
            Add(flags);
            Add(flags);
            return this;
        }

        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        internal Message Address(BridgePortSpec spec, uint index)
        {
            byte[] address = spec.Address.GetAddressBytes();
            uint broadcast = BinaryPrimitives.ReadUInt32BigEndian(address) | (spec.PrefixLength == 32 ? 0 : uint.MaxValue >> spec.PrefixLength);
            byte[] last = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(last, broadcast);
            _bytes.AddRange([AF_INET, (byte)spec.PrefixLength, 0, 0]);
            Add(index);
            return Attribute(IFA_LOCAL, address).Attribute(IFA_ADDRESS, address).Attribute(IFA_BROADCAST, last);
        }

        // struct rtmsg: family, destination and source lengths, tos, table, protocol, scope, type (1: unicast), flags.
        internal Message Route(IPAddress gateway, uint index)
        {
            _bytes.AddRange([AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, 1]);
            Add(0u);
            return Attribute(RTA_GATEWAY, gateway.GetAddressBytes()).Attribute(RTA_OIF, index);
        }

        internal Message Attribute(ushort type, uint value)
        {
            byte[] bytes = new byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            return Attribute(type, bytes);
        }

        internal Message Attribute(ushort type, ReadOnlySpan<byte> value)
        {
            Add((ushort)(AttributeHeaderBytes + value.Length));
            Add(type);
            _bytes.AddRange(value);
            while (_bytes.Count % AttributeHeaderBytes != 0)
            {
                _bytes.Add(0);
            }
            return this;
        }

        internal Message Nest(ushort type, Action<Message> fill)
        {
            int start = _bytes.Count;
            Add((ushort)0);
            Add(type);
            fill(this);
            byte[] length = new byte[2];
            BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)(_bytes.Count - start));
            (_bytes[start], _bytes[start + 1]) = (length[0], length[1]);
            return this;
        }

        private void Add(uint value)
        {
            byte[] bytes = new byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            _bytes.AddRange(bytes);
        }

        private void Add(ushort value)
        {
            _bytes.Add((byte)value);
            _bytes.Add((byte)(value >> 8));
        }
    }
}
