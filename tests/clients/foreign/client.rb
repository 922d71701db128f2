# What a test has Ruby's net-sftp do: "ruby client.rb PORT USER password|key SECRET", and steps on standard input, a line
# each, their words divided by tabs. A listing goes to standard output. The first step that fails ends it with status 1.

require "net/sftp"

port, user, method, secret = ARGV
login = method == "key" ? { keys: [secret], keys_only: true } : { password: secret }
options = { port: port.to_i, verify_host_key: :never, config: false, non_interactive: true,
            auth_methods: [method == "key" ? "publickey" : "password"] }

Net::SFTP.start("127.0.0.1", user, **options, **login) do |sftp|
  STDIN.each_line(chomp: true) do |step|
    verb, *words = step.split("\t")
    case verb
    when "mkdir" then sftp.mkdir!(*words)
    when "put" then sftp.upload!(*words)
    when "rename" then sftp.rename!(*words)
    when "remove" then sftp.remove!(*words)
    when "list" then sftp.dir.foreach(*words) { |entry| puts entry.name }
    else raise ArgumentError, verb
    end
  end
end
